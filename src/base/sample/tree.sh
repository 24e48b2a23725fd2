# Shell for make-sample: a file system's content as a list of debugfs commands. That needs no root, and gives an order
# that doesn't depend on this machine's file system. Sourced; make-sample sets work.
# shellcheck shell=bash disable=SC2034,SC2154

script=$work/debugfs
ext4_features=none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,dir_nlink,extra_isize,metadata_csum

# own PATH MODE [UID GID]: MODE with the file type, as stat gives it.
own() {
	echo "sif $1 mode 0$2" >>"$script"
	if [ $# -gt 2 ]; then
		printf 'sif %s uid %s\nsif %s gid %s\n' "$1" "$3" "$1" "$4" >>"$script"
	fi
}

# dir PATH [MODE UID GID]
dir() {
	echo "mkdir $1" >>"$script"
	own "$1" "$(printf '%o' $((040000 | 0${2:-755})))" "${@:3}"
}

dirs() {
	local path
	for path in "$@"; do dir "$path"; done
}

# file PATH [MODE UID GID] <content
file() {
	local from
	from=$(mktemp "$work/file.XXXXXXXX")
	cat >"$from"
	echo "write $from $1" >>"$script"
	own "$1" "$(printf '%o' $((0100000 | 0${2:-644})))" "${@:3}"
}

# link PATH TARGET
link() { echo "symlink $1 $2" >>"$script"; }

# program PATH [MODE]: a placeholder where an image has a program.
program() {
	printf '#!/bin/sh\necho "%s is a placeholder of the sample base" >&2\nexit 1\n' "${1##*/}" |
		file "$1" "${2:-755}"
}


# make_ext4 FILE MIB FEATURES [OPTION…]: with what the functions above have listed.
make_ext4() {
	local image=$1 mib=$2 features=$3 status=0
	shift 3
	truncate -s "${mib}M" "$image"
	# Features by name, since the defaults of newer hosts differ.
	mkfs.ext4 -q -b 4096 -I 256 -U 6d616769-0000-4000-8000-000000000002 \
		-E hash_seed=6d616769-0000-4000-8000-000000000003,lazy_itable_init=0,nodiscard,root_owner=0:0 \
		"$@" -O "$features" "$image"
	debugfs -w -f "$script" "$image" >/dev/null 2>"$work/said"
	# debugfs ends with 0 even when a command failed, but prints an error.
	if sed 1d "$work/said" | grep .; then exit 1; fi
	# Indexes the large folders as a kernel would have; 1 is "changed something".
	e2fsck -fyD "$image" >/dev/null || status=$?
	[ "$status" -le 1 ]
	e2fsck -fn "$image"
}

# make_fat FILE SECTORS OPTION…: with the files of $work/fat.d.
make_fat() {
	local image=$1 sectors=$2
	shift 2
	find "$work/fat.d" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
	truncate -s $((sectors * 512)) "$image"
	mkfs.vfat --invariant -i 6d616769 "$@" "$image" >/dev/null
	mcopy -i "$image" -s -m "$work"/fat.d/* ::
	fsck.vfat -n "$image"
}

# use_journal EXT4: gives the empty journal the features that a kernel sets at the first write; the published images of
# Debian 13 have been mounted while they were built.
use_journal() {
	printf 'journal_open -c -v 3\njournal_close\n' | debugfs -w -f - "$1" >/dev/null
	dumpe2fs -h "$1" 2>/dev/null | grep '^Journal features:.*journal_checksum_v3'
	e2fsck -fn "$1"
}

# place FILE IMAGE SECTOR
place() { dd if="$1" of="$2" bs=512 seek="$3" conv=notrunc,sparse status=none; }
