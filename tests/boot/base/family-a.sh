# Shell for make-base: family A, the layout and behaviour of the images of
# raspi.debian.net. Sourced by make-base after common.sh.
# shellcheck shell=bash disable=SC2034,SC2154

suite=bookworm
needed_tools=()
# On top of what debootstrap installs; zstd and fdisk are for the small initrd.
packages=(
	ca-certificates dosfstools iw parted ssh wpasupplicant systemd-timesyncd
	linux-image-arm64 raspi-firmware firmware-brcm80211
	dbus initramfs-tools perl zstd fdisk
)
base_file=family-a-$recipe.img.xz
disk_bytes=2621440000
fat_start=8192
root_start=1048576
sysconf_template=$here/../../src/base/sample/sysconf.txt

customize() {
	local root=$1
	install_files "$root"
	settings "$root"
	chroot "$root" systemctl --quiet enable rpi-set-sysconf.service \
		rpi-reconfigure-raspi-firmware.service rpi-generate-ssh-host-keys.service
}

install_files() {
	local root=$1 unit
	for unit in "$files"/*.service; do
		install -m 644 "$unit" "$root/etc/systemd/system/"
	done
	install -D -m 755 "$files/rpi-set-sysconf" "$root/usr/local/sbin/rpi-set-sysconf"
	install -D -m 644 "$sysconf_template" "$root/usr/local/share/rpi-set-sysconf/sysconf.txt"
	install -m 755 "$files/grow-root.hook" "$root/etc/initramfs-tools/hooks/grow-root"
	install -D -m 755 "$files/grow-root" "$root/etc/initramfs-tools/scripts/local-premount/grow-root"
}

settings() {
	local root=$1
	printf 'LABEL=RASPIROOT / ext4 rw 0 1\nLABEL=RASPIFIRM /boot/firmware vfat rw 0 2\n' >"$root/etc/fstab"
	mkdir -p "$root/etc/network/interfaces.d"
	printf 'auto eth0\n\niface eth0 inet dhcp\niface eth0 inet6 auto\n' >"$root/etc/network/interfaces.d/eth0"
	printf 'rpi_4-stand-in\n' >"$root/etc/hostname"
	printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
	printf 'magi-image boot test, family-A recipe %s\n' "$MAGI_RECIPE" >"$root/etc/raspi-image-id"
	sed -i 's/^#\?ROOTPART=.*/ROOTPART=LABEL=RASPIROOT/' "$root/etc/default/raspi-firmware"
	grep -q '^ROOTPART=LABEL=RASPIROOT$' "$root/etc/default/raspi-firmware"
	# An empty console password, as the real images have it.
	chroot "$root" passwd --quiet --delete root
	rm -f "$root"/etc/ssh/ssh_host_*_key*
}

make_image() {
	local image=$1 fat_sectors=$((root_start - fat_start)) root_sectors=$((disk_bytes / 512 - root_start))
	bootstrap debootstrap
	say "writing the image"
	truncate -s $((fat_sectors * 512)) "$work/fat"
	mkfs.vfat -F 16 -s 16 -n RASPIFIRM "$work/fat" >&2
	cp "$sysconf_template" "$work/root/boot/firmware/"
	fill_fat "$work/fat"
	make_ext4 "$work/ext4" "$root_sectors" "$ext4_features,64bit,huge_file" -L RASPIROOT
	truncate -s "$disk_bytes" "$image"
	sfdisk --quiet "$image" <<-END
		label: dos
		start=$fat_start, size=$fat_sectors, type=c
		start=$root_start, type=83
	END
	place "$work/fat" "$image" $fat_start
	place "$work/ext4" "$image" $root_start
}

publish() { publish_xz "$1"; }
