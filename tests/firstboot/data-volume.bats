#!/usr/bin/env bats
# The first-boot step 40-data: makes the extra file system once, and never overwrites another one. A file stands for
# the disk; blkid, mkfs.ext4 and e2label are real.

load helpers

setup() {
	disk=$BATS_TEST_TMPDIR/disk
	truncate -s 32M "$disk"
	new_node "MAGI_DATA_DEVICE=$disk" MAGI_DATA_LABEL=data "MAGI_DATA_MOUNT=$BATS_TEST_TMPDIR/mount"
	add_overlay_step 40-data
	mkdir -p "$MAGI_RUN" && : >"$MAGI_RUN/now"
	record_calls_of mount
	fake mountpoint <<<'exit 1'
	fake udevadm <<<'exit 0'
	fake findmnt <<<"echo $disk"
}

label() {
	blkid -p -o value -s LABEL "$disk"
}

@test "an empty disk gets an ext4 with the label and is mounted" {
	run_firstboot
	assert_equal data "$(label)"
	e2fsck -fn "$disk"
	assert_equal "$BATS_TEST_TMPDIR/mount" "$(calls_of mount)"
	assert_status '^data: up since'
}

@test "a file system with the label is used again" {
	mkfs.ext4 -q -L data "$disk"
	uuid=$(blkid -p -o value -s UUID "$disk")
	run_firstboot
	assert_equal "$uuid" "$(blkid -p -o value -s UUID "$disk")"
}

# blocks: those of the file system.
blocks() {
	dumpe2fs -h "$disk" 2>/dev/null | sed -n 's/^Block count: *//p'
}

@test "a file system of an earlier card grows to the partition, and one that is larger is reported" {
	truncate -s 16M "$disk"
	mkfs.ext4 -q -L data "$disk"
	before=$(blocks)
	truncate -s 32M "$disk"
	on_node "$MAGI_LIB/data-volume"
	[ "$(blocks)" -gt "$before" ]
	truncate -s 16M "$disk"
	refute on_node "$MAGI_LIB/data-volume" 2>"$SCRATCH/said"
	assert_file_contains "$SCRATCH/said" 'is damaged, or larger than'
}

@test "another disk with the same label is reported" {
	fake findmnt <<<'echo /dev/sdz1'
	refute on_node "$MAGI_LIB/data-volume" 2>"$SCRATCH/said"
	assert_file_contains "$SCRATCH/said" '/dev/sdz1 is mounted at'
}

@test "a file system that a power cut left incomplete is made again" {
	mkfs.ext4 -q -L magi-new "$disk"
	run_firstboot
	assert_equal data "$(label)"
}

@test "other file systems and partition tables are reported and kept" {
	for make in 'mkfs.ext4 -q -L photos' 'mkfs.vfat' 'mkfs.vfat -n data' 'sfdisk -q'; do
		truncate -s 0 "$disk"
		truncate -s 32M "$disk"
		echo 'start=2048, type=83' | $make "$disk" >/dev/null
		before=$(sha256sum <"$disk")
		refute on_node "$MAGI_LIB/data-volume" 2>"$SCRATCH/said"
		assert_equal "$before" "$(sha256sum <"$disk")"
		assert_file_contains "$SCRATCH/said" 'holds something else'
	done
}

@test "a missing disk is reported until it is plugged in" {
	mv "$disk" "$disk.away"
	fake sleep <<<"cp \"\$STATUS_TXT\" \"\$SCRATCH/status\"; mv '$disk.away' '$disk'"
	run_firstboot
	assert_file_contains "$SCRATCH/status" "error: the disk $disk is missing"
	assert_equal data "$(label)"
}

@test "a disk that is missing at a later boot is reported" {
	on_node "$MAGI_LIB/data-report"
	assert_status '^data: failing since'
	assert_status 'error: no file system has the label data'
	fake mountpoint <<<'exit 0'
	fake findmnt <<<'echo /dev/sda'
	on_node "$MAGI_LIB/data-report"
	assert_status '^data: up since'
}
