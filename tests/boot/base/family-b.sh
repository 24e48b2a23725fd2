# Shell for make-base: family B, Debian's cloud image `raspi`: a GPT with a hybrid MBR,
# netplan with systemd-networkd, no ssh, and a first boot that waits for a keyboard.
# Sourced by make-base after common.sh.
# shellcheck shell=bash disable=SC2034,SC2154

suite=trixie
needed_tools=(sgdisk tar sha512sum)
# fdisk, parted, gdisk and openssh are missing from the real image too.
packages=(
	init systemd-sysv udev kmod dbus libpam-systemd polkitd procps netbase tzdata
	netplan.io systemd-resolved systemd-timesyncd libnss-myhostname libnss-resolve
	iproute2 iputils-ping iptables ethtool tcpdump ca-certificates curl
	sudo python3 unattended-upgrades apt-listchanges man-db uuid-runtime apparmor
	screen vim nano less xz-utils zstd e2fsprogs dosfstools
	initramfs-tools linux-image-arm64 raspi-firmware firmware-brcm80211 bluez-firmware
)
# The published name, in a folder of this recipe's, because SHA512SUMS has no name of its own.
published=debian-13-raspi-arm64-daily
base_file=family-b-$recipe/$published.tar.xz
disk_sectors=6291456
fat_start=2048 fat_sectors=1046528
root_start=1048576 root_sectors=5240832

# Random for each base, as for each published image. Exported for the hooks.
new_uuid() { cat /proc/sys/kernel/random/uuid; }
export MAGI_ROOT_PARTUUID=${MAGI_ROOT_PARTUUID:-$(new_uuid)}
export MAGI_FAT_PARTUUID=${MAGI_FAT_PARTUUID:-$(new_uuid)}

customize() {
	local root=$1
	identity "$root"
	network "$root"
	package_sources "$root"
	# Leftovers of the configuration that all of Debian's cloud images share: neither
	# cloud-init nor GRUB is installed.
	mkdir -p "$root/etc/cloud/cloud.cfg.d" "$root/etc/default/grub.d"
	printf '# Debian cloud images\n' >"$root/etc/cloud/cloud.cfg.d/01_debian_cloud.cfg"
	printf 'GRUB_TIMEOUT=0\n' >"$root/etc/default/grub.d/10_cloud.cfg"
	sed -i "s/^#\?ROOTPART=.*/ROOTPART=PARTUUID=$MAGI_ROOT_PARTUUID/" "$root/etc/default/raspi-firmware"
	grep -q "^ROOTPART=PARTUUID=$MAGI_ROOT_PARTUUID\$" "$root/etc/default/raspi-firmware"
	chroot "$root" systemctl --quiet enable systemd-networkd.service systemd-networkd-wait-online.service \
		systemd-resolved.service systemd-timesyncd.service
	chroot "$root" systemctl --quiet disable systemd-time-wait-sync.service
}

# Nothing here is decided yet: systemd-firstboot asks for it.
identity() {
	local root=$1
	cat >"$root/etc/fstab" <<-END
		PARTUUID=$MAGI_ROOT_PARTUUID / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1
		PARTUUID=$MAGI_FAT_PARTUUID /boot/firmware vfat defaults,umask=077 0 2
	END
	install -m 644 /dev/null "$root/etc/hostname"
	printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n' >"$root/etc/hosts"
	printf 'ID=raspi\nVERSION="20261101-%s"\n' "$MAGI_RECIPE" >"$root/etc/cloud-release"
	sed -i 's/^root:[^:]*:/root:!unprovisioned:/' "$root/etc/shadow"
	grep -q '^root:!unprovisioned:' "$root/etc/shadow"
	install -d -m 700 "$root/root/.ssh"
	echo 'LANG=C.UTF-8' >"$root/etc/locale.conf"
	ln -sfn ../locale.conf "$root/etc/default/locale"
	rm -f "$root/etc/localtime" "$root/etc/timezone" "$root/etc/vconsole.conf" "$root/etc/adjtime"
}

network() {
	local root=$1
	install -D -m 600 "$files/90-default.yaml" "$root/etc/netplan/90-default.yaml"
	sed -i 's/^hosts:.*/hosts:          files myhostname resolve dns/' "$root/etc/nsswitch.conf"
	grep -q '^hosts: *files myhostname resolve dns$' "$root/etc/nsswitch.conf"
}

package_sources() {
	local root=$1
	rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
	install -D -m 644 "$files/debian.sources" "$root/etc/apt/sources.list.d/debian.sources"
	mkdir -p "$root/etc/apt/mirrors"
	echo "$mirror/debian" >"$root/etc/apt/mirrors/debian.list"
	echo "$mirror/debian-security" >"$root/etc/apt/mirrors/debian-security.list"
}

make_image() {
	local image=$1
	bootstrap minbase
	say "writing the image"
	ln -s ../run/systemd/resolve/stub-resolv.conf "$work/root/etc/resolv.conf"
	chmod 444 "$work/root/etc/machine-id"
	# The words of the image as published; the firmware hook has written its own.
	echo "console=tty0 root=PARTUUID=$MAGI_ROOT_PARTUUID" >"$work/root/boot/firmware/cmdline.txt"
	truncate -s $((fat_sectors * 512)) "$work/fat"
	mkfs.vfat -F 16 -h $fat_start "$work/fat" >&2
	fill_fat "$work/fat"
	make_ext4 "$work/ext4" $root_sectors "$ext4_features,64bit,huge_file,orphan_file,metadata_csum_seed"
	use_journal "$work/ext4"
	partition "$image"
	place "$work/fat" "$image" $fat_start
	place "$work/ext4" "$image" $root_start
	sgdisk -v "$image" >&2
}

# sgdisk leaves two slots of the hybrid MBR as the real image doesn't have them: the FAT's
# type, and the slot that protects the root partition.
partition() {
	local image=$1 number_from_name=$work/disk
	truncate -s $((disk_sectors * 512)) "$image"
	sfdisk --quiet "$image" <<-END
		label: gpt
		${number_from_name}15 : start=$fat_start, size=$fat_sectors, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=$MAGI_FAT_PARTUUID
		${number_from_name}1 : start=$root_start, size=$root_sectors, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE, uuid=$MAGI_ROOT_PARTUUID
	END
	sgdisk --hybrid 15:EE "$image" >/dev/null
	sfdisk --quiet --label-nested dos --part-type "$image" 1 c
	echo "start=$root_start, size=$((disk_sectors - root_start)), type=ee" |
		sfdisk --quiet --label-nested dos --append "$image"
}

publish() {
	local image=$1 folder=$work/publish
	mkdir "$folder"
	mv "$image" "$work/disk.raw"
	tar -C "$work" --format=gnu --sparse -c disk.raw | xz -T0 -1 --block-size=32MiB >"$folder/$published.tar.xz"
	(cd "$folder" && sha512sum "$published.tar.xz" >SHA512SUMS)
	mv "$work/disk.raw" "$folder/$published.img"
	mv "$folder" "$out/${base_file%/*}"
}
