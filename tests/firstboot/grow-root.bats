#!/usr/bin/env bats
# The step 05-grow-root on disk images, whose tables are made and judged by sfdisk and sgdisk.

load helpers

grow_root=overlays/firstboot/files/usr/local/lib/magi/grow-root
fat_uuid=6D616769-0000-4000-8000-000000000005
root_uuid=6D616769-0000-4000-8000-000000000006
image_sectors=40960 # 20 MiB
card_sectors=65536  # 32 MiB
disk=$BATS_TEST_TMPDIR/disk

# image_b: the layout of Debian's cloud image: the FAT is partition 15, the root is partition 1 behind it, in a GPT with
# a hybrid MBR whose third slot protects the root.
image_b() {
	rm -f "$disk"
	truncate -s $((image_sectors * 512)) "$disk"
	sfdisk --quiet "$disk" <<-END
		label: gpt
		first-lba: 2048
		${disk}15 : start=2048, size=4096, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=$fat_uuid
		${disk}1 : start=6144, size=32768, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE, uuid=$root_uuid
	END
	sgdisk --hybrid 15:EE "$disk" >/dev/null
	sfdisk --quiet --label-nested dos --part-type "$disk" 1 c
	echo "start=6144, size=$((image_sectors - 6144)), type=ee" | sfdisk --quiet --label-nested dos --append "$disk"
}

# image_mbr: the layout of the other families.
image_mbr() {
	rm -f "$disk"
	truncate -s $((image_sectors * 512)) "$disk"
	printf 'label: dos\nlabel-id: 0x6d616769\nstart=2048, size=4096, type=c\nstart=6144, size=32768, type=83\n' |
		sfdisk --quiet "$disk"
}

on_card() {
	truncate -s $((${1-$card_sectors} * 512)) "$disk"
}

# field NUMBER FIELD: of the partition, as sfdisk dumps it.
field() {
	sfdisk --dump "$disk" 2>/dev/null | sed -nE "s|^${disk}$1 :.*$2= *([^,]+).*|\1|p"
}

assert_valid_gpt() {
	sgdisk -v "$disk" >"$BATS_TEST_TMPDIR/sgdisk" || fail "$(cat "$BATS_TEST_TMPDIR/sgdisk")"
	assert_file_contains "$BATS_TEST_TMPDIR/sgdisk" '^No problems found'
	refute_file_contains "$BATS_TEST_TMPDIR/sgdisk" 'Problem\|damaged\|CRC'
}

assert_uuids_kept() {
	assert_equal "$fat_uuid $root_uuid" "$(field 15 uuid) $(field 1 uuid)"
}

@test "grow-root: a hybrid GPT grows to the card" {
	image_b
	on_card
	assert_equal '' "$("$grow_root" "$disk" 1)"
	assert_valid_gpt
	assert_uuids_kept
	assert_equal "2048 4096 6144 $((63488 - 6144))" "$(field 15 start) $(field 15 size) $(field 1 start) $(field 1 size)"
	sfdisk --label-nested dos --dump "$disk" | grep -q "start= *6144, size= *$((card_sectors - 6144)), type=ee"
	sfdisk --label-nested dos --dump "$disk" | grep -q 'start= *2048, size= *4096, type=c'
	# The standard place of the entries.
	assert_equal 2 "$("$python" -c 'import struct, sys; print(*struct.unpack("<Q", open(sys.argv[1], "rb").read()[584:592]))' "$disk")"
}

@test "grow-root: a card of any size" {
	for sectors in 40961 42000 43007 43008 50001 4194304; do
		image_b
		on_card "$sectors"
		"$grow_root" "$disk" 1
		assert_valid_gpt
		assert_equal "$sectors: $(((sectors - 33) / 2048 * 2048 - 6144))" "$sectors: $(field 1 size)"
	done
}

@test "grow-root: nothing is written on a card of the image's size, or the second time" {
	image_b
	touch -d 2001-01-01 "$disk"
	"$grow_root" "$disk" 1
	assert_equal 2001 "$(date -r "$disk" +%Y)"
	on_card
	"$grow_root" "$disk" 1
	touch -d 2001-01-01 "$disk"
	"$grow_root" "$disk" 1
	assert_equal 2001 "$(date -r "$disk" +%Y)"
}

@test "grow-root: an MBR grows to the card" {
	image_mbr
	on_card
	assert_equal '' "$("$grow_root" "$disk" 2)"
	sfdisk --verify "$disk"
	assert_equal "2048 4096 6144 $((card_sectors - 6144))" "$(field 1 start) $(field 1 size) $(field 2 start) $(field 2 size)"
	sfdisk --dump "$disk" | grep -q '^label-id: 0x6d616769$'
}

@test "grow-root: a partition behind the root leaves it alone, with a reason" {
	image_b
	on_card
	sgdisk --move-second-header --new 2:45056:+4M "$disk" >/dev/null
	cp "$disk" "$disk.before"
	assert_equal 'partition 1 keeps its size: partition 2 is behind it' "$("$grow_root" "$disk" 1)"
	cmp "$disk" "$disk.before"
	image_mbr
	on_card
	echo 'start=45056, size=8192, type=83' | sfdisk --quiet --append "$disk"
	cp "$disk" "$disk.before"
	assert_equal 'partition 2 keeps its size: partition 3 is behind it' "$("$grow_root" "$disk" 2)"
	cmp "$disk" "$disk.before"
}

@test "grow-root: a damaged table and one without the partition are refused and stay" {
	image_b
	on_card
	cp "$disk" "$disk.before"
	refute "$grow_root" "$disk" 3
	cmp "$disk" "$disk.before"
	printf x | dd of="$disk" bs=1 seek=$((2 * 512 + 56)) conv=notrunc status=none
	cp "$disk" "$disk.before"
	refute "$grow_root" "$disk" 1
	cmp "$disk" "$disk.before"
	truncate -s 0 "$disk"
	on_card
	refute "$grow_root" "$disk" 1
}

@test "grow-root: a power cut after any sector leaves a valid table, which the next run completes" {
	image_b
	on_card
	# Backup (33), spare entries (32), header, entries (32), header and MBR, forwards and backwards.
	assert_equal 200 "$("$python" tests/firstboot/grow-root-cuts.py "$grow_root" "$disk" 1 32768)"
}

# A node whose root is partition $1 of $disk.
new_node_on_disk() {
	new_node MAGI_BOOT="$BATS_TEST_TMPDIR/boot"
	mkdir -p "$BATS_TEST_TMPDIR/boot" "$node/sys/devices/disk/diskp$1" "$node/sys/class/block" "$node/dev"
	ln -s "$node/sys/devices/disk/diskp$1" "$node/sys/class/block/diskp$1"
	echo "$1" >"$node/sys/devices/disk/diskp$1/partition"
	ln -s "$disk" "$node/dev/disk"
	export MAGI_SYS=$node/sys MAGI_DEV=$node/dev STATUS_TXT=$BATS_TEST_TMPDIR/boot/magi-status.txt
	fake findmnt <<<"echo /dev/diskp$1"
	record_calls_of partx resize2fs
	add_overlay_step 05-grow-root
}

@test "grow-root: the step grows partition and file system" {
	image_b
	on_card
	new_node_on_disk 1
	run_firstboot
	assert_equal "$((63488 - 6144))" "$(field 1 size)"
	assert_equal "--update --nr 1 $node/dev/disk" "$(calls_of partx)"
	assert_equal /dev/diskp1 "$(calls_of resize2fs)"
}

@test "grow-root: the status says why the root partition keeps its size, and first boot goes on" {
	image_mbr
	on_card
	echo 'start=45056, size=8192, type=83' | sfdisk --quiet --append "$disk"
	new_node_on_disk 2
	run_firstboot
	assert_status '^firstboot: done'
	assert_status 'partition 2 keeps its size: partition 3 is behind it'
	assert_equal '' "$(calls_of resize2fs)"
}
