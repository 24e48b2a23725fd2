# shellcheck shell=bash
# Lets this machine run arm64 programs while a base image is made; sourced by make-base and by
# cluster/make-prepared-base. Registers QEMU itself, for machines without systemd-binfmt, and undoes only what it did.
binfmt=/proc/sys/fs/binfmt_misc
mounted_binfmt='' registered_binfmt=''
arm64_runs() { [ "$(uname -m)" = aarch64 ] || [ -e $binfmt/qemu-aarch64 ]; }

enable_arm64() {
	if [ ! -e $binfmt/register ]; then
		mount -t binfmt_misc binfmt_misc $binfmt
		mounted_binfmt=1
	fi
	if arm64_runs; then return; fi
	local magic='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
	local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
	printf '%s' ":qemu-aarch64:M::$magic:$mask:/usr/bin/qemu-aarch64-static:OPF" >$binfmt/register
	registered_binfmt=1
}

disable_arm64() {
	if [ -n "$registered_binfmt" ]; then echo -1 >$binfmt/qemu-aarch64 || true; fi
	if [ -n "$mounted_binfmt" ]; then umount $binfmt || true; fi
}
