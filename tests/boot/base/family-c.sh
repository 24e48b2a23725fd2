# Shell for make-base: family C, Raspberry Pi OS Lite on Debian 13. Sourced by make-base after common.sh.
#
# Debian's own packages in the layout of pi-gen. The packages of Raspberry Pi that matter at first boot are written anew
# in c/, and say so. Different from the real image: the kernel is Debian's, whose memory cgroup is on and which has no
# second kernel for the Pi 5; cloud-init is Debian's and doesn't know Raspberry Pi OS; raspberrypi.com is not a package
# source.
# shellcheck shell=bash disable=SC2034,SC2154

suite=trixie
needed_tools=(dpkg-deb parted)
packages=(
	init systemd-sysv udev kmod dbus libpam-systemd polkitd procps psmisc netbase tzdata locales cron
	network-manager netplan.io cloud-init openssh-server wpasupplicant iw avahi-daemon
	iproute2 iputils-ping ethtool ca-certificates curl wget sudo python3 systemd-timesyncd
	less nano vim-tiny man-db bash-completion rsync zip unzip xz-utils zstd
	e2fsprogs dosfstools parted fdisk busybox
	initramfs-tools linux-image-arm64 raspi-firmware firmware-brcm80211 bluez-firmware
)
base_file=family-c-$recipe.img.xz
fat_start=16384 fat_sectors=1048576
root_start=1064960

# Random for each base image, as for each published one. Exported for the hooks.
random_id() { od -An -N4 -tx4 /dev/urandom | tr -d ' '; }
export MAGI_DISK_ID=${MAGI_DISK_ID:-$(random_id)}

customize() {
	local root=$1 name
	firmware "$root"
	for name in raspberrypi-sys-mods userconf-pi rpi-cloud-init-mods; do
		reconstructed_package "$root" "$name"
	done
	identity "$root"
	language "$root"
	users "$root"
	package_sources "$root"
	units "$root"
}

# Raspberry Pi's raspi-firmware has another hook than Debian's, and doesn't generate the files of the boot partition.
firmware() {
	local root=$1 hook
	for hook in /etc/kernel/postinst.d /etc/kernel/postrm.d /etc/initramfs/post-update.d; do
		chroot "$root" dpkg-divert --quiet --add --rename \
			--divert "$hook/z50-raspi-firmware.debian" "$hook/z50-raspi-firmware"
	done
	install -m 755 "$files/hooks/z50-raspi-firmware" "$root/etc/kernel/postinst.d/"
	install -m 755 "$files/hooks/z50-raspi-firmware" "$root/etc/initramfs/post-update.d/"
	cp "$files"/boot/* "$root/boot/firmware/"
	echo "console=serial0,115200 console=tty1 root=PARTUUID=$MAGI_DISK_ID-02 rootfstype=ext4 fsck.repair=yes rootwait resize" \
		>"$root/boot/firmware/cmdline.txt"
	issue >"$root/etc/rpi-issue"
	issue >"$root/boot/firmware/issue.txt"
}

issue() {
	printf 'Raspberry Pi reference 2026-11-01\nReconstructed for the boot test of magi-image, recipe %s, stage2\n' "$MAGI_RECIPE"
}

# reconstructed_package ROOT NAME: a package of the files in c/NAME, so that dpkg knows it.
reconstructed_package() {
	local root=$1 name=$2 tree=$1/tmp/$2
	mkdir -p "$tree/DEBIAN"
	cp -r "$files/$name/." "$tree"
	cat >"$tree/DEBIAN/control" <<-END
		Package: $name
		Version: 0~reconstructed
		Architecture: all
		Maintainer: nobody <nobody@localhost>
		Description: behaviour of Raspberry Pi's package, written anew for a test
	END
	dpkg-deb --build --root-owner-group "$tree" "$root/tmp/$name.deb" >&2
	chroot "$root" dpkg --install "/tmp/$name.deb"
	rm -r "$tree" "$root/tmp/$name.deb"
}

identity() {
	local root=$1
	cat >"$root/etc/fstab" <<-END
		proc            /proc           proc    defaults          0       0
		PARTUUID=$MAGI_DISK_ID-01  /boot/firmware  vfat    defaults          0       2
		PARTUUID=$MAGI_DISK_ID-02  /               ext4    defaults,noatime  0       1
	END
	echo raspberrypi >"$root/etc/hostname"
	chmod 644 "$root/etc/hostname"
	printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n\n127.0.1.1\traspberrypi\n' >"$root/etc/hosts"
	# The old names of network interfaces: eth0, wlan0.
	mkdir -p "$root/etc/systemd/network"
	ln -s /dev/null "$root/etc/systemd/network/99-default.link"
	ln -s /dev/null "$root/etc/systemd/network/73-usb-net-by-mac.link"
	rm -f "$root"/etc/ssh/ssh_host_*_key*
}

language() {
	local root=$1
	sed -i 's/^# *en_GB.UTF-8 UTF-8/en_GB.UTF-8 UTF-8/' "$root/etc/locale.gen"
	chroot "$root" locale-gen
	echo 'LANG=en_GB.UTF-8' >"$root/etc/locale.conf"
	ln -sfn ../locale.conf "$root/etc/default/locale"
	printf 'XKBMODEL="pc105"\nXKBLAYOUT="gb"\nXKBVARIANT=""\nXKBOPTIONS=""\nBACKSPACE="guess"\n' >"$root/etc/default/keyboard"
	ln -sfn /usr/share/zoneinfo/Europe/London "$root/etc/localtime"
	echo Europe/London >"$root/etc/timezone"
}

users() {
	local root=$1 group groups=adm,dialout,cdrom,audio,users,sudo,video,games,plugdev,input,gpio,spi,i2c,netdev,render
	for group in ${groups//,/ }; do chroot "$root" groupadd --force --system "$group"; done
	chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 --user-group --password '*' --groups "$groups" pi
	sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"
	grep -q '^root:\*:' "$root/etc/shadow"
	echo 'Banner /usr/share/userconf-pi/sshd_banner' >"$root/etc/ssh/sshd_config.d/rename_user.conf"
}

package_sources() {
	local root=$1
	rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
	cat >"$root/etc/apt/sources.list.d/debian.sources" <<-END
		Types: deb
		URIs: $mirror/debian
		Suites: $suite $suite-updates
		Components: main non-free-firmware
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

		Types: deb
		URIs: $mirror/debian-security
		Suites: $suite-security
		Components: main non-free-firmware
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	END
}

units() {
	local root=$1
	chroot "$root" systemctl --quiet enable regenerate_ssh_host_keys.service sshswitch.service rpi-resize.service \
		userconfig.service NetworkManager.service systemd-timesyncd.service
	chroot "$root" systemctl --quiet disable ssh.service ssh.socket getty@tty1.service
}

make_image() {
	local image=$1 bytes steps root_sectors
	bootstrap minbase
	say "writing the image"
	truncate -s $((fat_sectors * 512)) "$work/fat"
	mkfs.vfat -F 32 -s 1 -h $fat_start -n bootfs "$work/fat" >&2
	fill_fat "$work/fat"
	# pi-gen's rule: the content, a fifth and 200 MiB, in steps of 8 MiB.
	bytes=$(du --apparent-size -s -x --block-size=1 "$work/root" | cut -f1)
	steps=$(((bytes + bytes / 5 + 200 * 1024 * 1024) / 8388608 + 1))
	root_sectors=$((steps * 16384))
	make_ext4 "$work/ext4" $root_sectors "$ext4_features,orphan_file,metadata_csum_seed" -L rootfs
	use_journal "$work/ext4"
	truncate -s $(((root_start + root_sectors) * 512)) "$image"
	partition "$image" $root_sectors
	place "$work/fat" "$image" $fat_start
	place "$work/ext4" "$image" $root_start
}

# With parted, as pi-gen does it: where its boot code is missing, parted gives the disk a new id when it grows a partition
# in the initrd, and the root's PARTUUID is gone.
partition() {
	local image=$1 root_sectors=$2
	parted --script "$image" mklabel msdos \
		mkpart primary fat32 ${fat_start}s $((fat_start + fat_sectors - 1))s \
		mkpart primary ext4 ${root_start}s $((root_start + root_sectors - 1))s
	sfdisk --quiet --disk-id "$image" "0x$MAGI_DISK_ID"
}

publish() { publish_xz "$1"; }
