# Shell for make-base: what the three families have in common. Sourced by make-base, which
# sets family, here, recipe, out and work. A family-X.sh beside it defines
#   suite, packages, initrd_modules, needed_tools, base_file
#   customize ROOT        files and settings, before the initrd is made
#   make_image IMAGE      the raw disk image from $work/root
#   publish IMAGE         container and checksum file from the raw image, moved to $out
# shellcheck shell=bash disable=SC2034,SC2154

mirror=${MAGI_TEST_MIRROR:-http://deb.debian.org}
# What QEMU and a Pi need to reach their root; all modules would make an initrd ten
# times the size, made under emulation.
initrd_modules=(
	virtio_blk virtio_pci virtio_mmio virtio_net ext4
	mmc_block sdhci_iproc bcm2835
)
# By name, because the defaults of mkfs.ext4 differ from host to host.
ext4_features=none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,dir_nlink,extra_isize,metadata_csum

say() { echo "make-base: $*" >&2; }

die() { say "$*"; exit 1; }

check_tools() {
	local tool
	[ "$(id -u)" -eq 0 ] || die "needs root (mmdebstrap, binfmt_misc)"
	for tool in mmdebstrap qemu-aarch64-static mkfs.ext4 mkfs.vfat mcopy sfdisk xz "${needed_tools[@]}"; do
		command -v "$tool" >/dev/null || die "$tool is missing; see the packages in the header"
	done
}

sources() {
	local parts="main non-free-firmware"
	echo "deb $mirror/debian $suite $parts"
	echo "deb $mirror/debian $suite-updates $parts"
	echo "deb $mirror/debian-security $suite-security $parts"
}

# Before the packages: emulated mkinitramfs runs are most of the time of a plain run, so
# update-initramfs does nothing until everything is in place.
essential_hook() {
	local root=$1
	mkdir -p "$root/boot/firmware" "$root/etc/initramfs-tools/conf.d" "$root/etc/default"
	printf 'MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\n' >"$root/etc/initramfs-tools/conf.d/small"
	chroot "$root" dpkg-divert --quiet --add --no-rename \
		--divert /usr/sbin/update-initramfs.real /usr/sbin/update-initramfs
	ln -s /bin/true "$root/usr/sbin/update-initramfs"
}

customize_hook() {
	local root=$1
	customize "$root"
	printf '%s\n' "${initrd_modules[@]}" >>"$root/etc/initramfs-tools/modules"
	rm "$root/usr/sbin/update-initramfs"
	chroot "$root" dpkg-divert --quiet --remove --rename /usr/sbin/update-initramfs
	chroot "$root" update-initramfs -c -k all
}

# bootstrap VARIANT: the hooks are make-base again, so what they need is exported.
bootstrap() {
	local variant=$1 hook="'$here/make-base' --family $family"
	say "bootstrapping Debian $suite for arm64"
	export MAGI_RECIPE=$recipe
	sources | mmdebstrap --mode=root --arch=arm64 --variant="$variant" \
		--include="$(IFS=,; echo "${packages[*]}")" \
		--skip=check/qemu --aptopt='Acquire::Languages "none"' \
		--essential-hook="$hook --essential-hook \"\$1\"" \
		--customize-hook="$hook --customize-hook \"\$1\"" \
		"$suite" "$work/root" - >&2
	rm -f "$work/root/etc/resolv.conf" "$work/root/etc/apt/apt.conf.d/99mmdebstrap"
	echo uninitialized >"$work/root/etc/machine-id"
}

# fill_fat FAT: moves the content of /boot/firmware into it; the root file system has
# an empty folder there.
fill_fat() {
	mcopy -i "$1" -s -m "$work"/root/boot/firmware/* ::
	rm -r "$work"/root/boot/firmware/*
	fsck.vfat -n "$1" >&2
}

# make_ext4 FILE SECTORS FEATURES [OPTION…]
make_ext4() {
	local file=$1 sectors=$2 features=$3
	shift 3
	truncate -s $((sectors * 512)) "$file"
	mkfs.ext4 -q -b 4096 -I 256 "$@" -O "$features" -d "$work/root" "$file" >&2
	e2fsck -fn "$file" >&2
}

# use_journal EXT4: gives the empty journal the features that a kernel sets at the first
# write; the published images of Debian 13 have been mounted while they were built.
use_journal() {
	printf 'journal_open -c -v 3\njournal_close\n' | debugfs -w -f - "$1" >&2
	dumpe2fs -h "$1" 2>/dev/null | grep -q '^Journal features:.*journal_checksum_v3'
	e2fsck -fn "$1" >&2
}

# place FILE IMAGE SECTOR
place() {
	dd if="$1" of="$2" bs=64K seek=$(($3 * 512)) oflag=seek_bytes conv=notrunc,sparse status=none
	rm "$1"
}

# publish_xz IMAGE: IMAGE.xz and its .sha256. The .xz last: where it is, the rest is complete.
publish_xz() {
	local name=${1##*/}
	xz -T0 -1 --block-size=32MiB --keep "$1"
	(cd "${1%/*}" && sha256sum "$name.xz" >"$name.xz.sha256")
	mv "$1" "$1.xz.sha256" "$out/"
	mv "$1.xz" "$out/"
}
