# Shell for make-sample: the sample of family B, Debian's cloud image `raspi` for Debian 13. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

epoch=1793491200 # 2026-11-01
default_out=sample-b.tar.xz
kernel=6.12.118+deb13-arm64
fat_start=2048 fat_sectors=131072
root_start=133120 root_mib=152
# As in the real image, one MiB is free behind the root partition.
disk_sectors=$((root_start + root_mib * 2048 + 2048))
disk_uuid=6d616769-0000-4000-8000-000000000004
fat_partuuid=6d616769-0000-4000-8000-000000000005
root_partuuid=6d616769-0000-4000-8000-000000000006

# No account that logs in: systemd-firstboot asks for root's password where the field is `!unprovisioned`.
accounts() {
	passwd <<-END
		systemd-resolve:x:991:991:systemd Resolver:/:/usr/sbin/nologin
		systemd-timesync:x:990:990:systemd Time Synchronization:/:/usr/sbin/nologin
		messagebus:x:989:989:System Message Bus:/nonexistent:/usr/sbin/nologin
		polkitd:x:988:988:User for polkitd:/:/usr/sbin/nologin
	END
	groups root:0 daemon:1 bin:2 sys:3 adm:4 mail:8 sudo:27 www-data:33 shadow:42 staff:50 users:100 \
		systemd-journal:999 systemd-network:998 systemd-resolve:991 systemd-timesync:990 messagebus:989 polkitd:988 \
		nogroup:65534
	shadow 20758 '!unprovisioned' systemd-network systemd-resolve systemd-timesync messagebus polkitd </dev/null
	dir /root/.ssh 700
}

identity() {
	printf '' | file /etc/hostname
	hosts </dev/null
	file /etc/fstab <<-END
		PARTUUID=$root_partuuid / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1
		PARTUUID=$fat_partuuid /boot/firmware vfat defaults,umask=077 0 2
	END
	printf 'ID=raspi\nVERSION="20261101-sample"\n' | file /etc/cloud-release
	echo uninitialized | file /etc/machine-id 444
	echo 'LANG=C.UTF-8' | file /etc/locale.conf
	link /etc/default/locale ../locale.conf
	# Neither cloud-init nor GRUB is installed: leftovers that all of Debian's cloud images have.
	dirs /etc/cloud /etc/cloud/cloud.cfg.d /etc/default/grub.d
	printf '# Debian cloud images\n' | file /etc/cloud/cloud.cfg.d/01_debian_cloud.cfg
	printf 'GRUB_TIMEOUT=0\n' | file /etc/default/grub.d/10_cloud.cfg
}

dhcp_for() {
	printf '        all-%s:\n            match:\n                name: %s*\n' "$1" "$1"
	printf '            dhcp%s: true\n            dhcp%s-overrides:\n                use-domains: true\n' 4 4 6 6
}

network() {
	dirs /etc/netplan /etc/systemd /etc/systemd/network /etc/systemd/resolved.conf.d
	{
		printf 'network:\n    version: 2\n    ethernets:\n'
		dhcp_for en
		dhcp_for eth
	} | file /etc/netplan/90-default.yaml 600
	link /etc/resolv.conf ../run/systemd/resolve/stub-resolv.conf
	printf 'passwd:         files\ngroup:          files\nshadow:         files\n\nhosts:          files myhostname resolve dns\n' |
		file /etc/nsswitch.conf
}

boot_settings() {
	file /etc/default/raspi-firmware <<-END
		# Settings of the hook that writes /boot/firmware/config.txt and cmdline.txt.
		#CMA=64M
		ROOTPART=PARTUUID=$root_partuuid
		#KERNEL="auto"
		#INITRAMFS="auto"
		#CONSOLES="auto"
	END
	kernel_files
}

# There is no ssh. time-wait-sync is installed and off.
units() {
	dirs /usr/lib/systemd /usr/lib/systemd/system /usr/lib/systemd/system/sysinit.target.wants /etc/systemd/system \
		/etc/systemd/system/{multi-user,sysinit,network-online,getty,timers}.target.wants
	placeholder_units systemd-{firstboot,networkd,networkd-wait-online,resolved,timesyncd,time-wait-sync}.service \
		unattended-upgrades.service getty@.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer
	targets basic sysinit multi-user network-online time-sync
	link /usr/lib/systemd/system/default.target multi-user.target
	link /usr/lib/systemd/system/sysinit.target.wants/systemd-firstboot.service ../systemd-firstboot.service
	wanted multi-user systemd-networkd.service unattended-upgrades.service
	wanted sysinit systemd-resolved.service systemd-timesyncd.service
	wanted network-online systemd-networkd-wait-online.service
	wanted timers apt-daily.timer apt-daily-upgrade.timer fstrim.timer
}

packages=(
	adduser apparmor apt apt-listchanges base-files base-passwd bash bluez-firmware bsdextrautils bsdutils
	ca-certificates coreutils cpio curl dash dbus dbus-bin dbus-daemon dbus-session-bus-common
	dbus-system-bus-common debconf debian-archive-keyring debianutils diffutils distro-info-data dosfstools dpkg
	dracut-install e2fsprogs ethtool findutils firmware-brcm80211 gcc-14-base grep groff-base gzip hostname init
	init-system-helpers initramfs-tools initramfs-tools-bin initramfs-tools-core iproute2 iptables iputils-ping
	klibc-utils kmod less libacl1 libapparmor1 libapt-pkg7.0 libatomic1 libattr1 libaudit-common libaudit1
	libblkid1 libbpf1 libbrotli1 libbsd0 libbz2-1.0 libc-bin libc6 libcap-ng0 libcap2 libcap2-bin libcom-err2
	libcrypt1 libcurl4t64 libdb5.3t64 libdbus-1-3 libdebconfclient0 libduktape207 libelf1t64 libexpat1
	libext2fs2t64 libffi8 libgcc-s1 libgdbm6t64 libglib2.0-0t64 libgmp10 libgnutls30t64 libgpm2 libgssapi-krb5-2
	libhogweed6t64 libidn2-0 libip4tc2 libip6tc2 libk5crypto3 libkeyutils1 libklibc libkmod2 libkrb5-3
	libkrb5support0 liblastlog2-2 libldap2 liblz4-1 liblzma5 libmd0 libmnl0 libmount1 libncursesw6
	libnetfilter-conntrack3 libnetplan1 libnettle8t64 libnfnetlink0 libnftnl11 libnghttp2-14 libnghttp3-9
	libnss-myhostname libnss-resolve libp11-kit0 libpam-modules libpam-modules-bin libpam-runtime libpam-systemd
	libpam0g libpcap0.8t64 libpcre2-8-0 libpipeline1 libpolkit-agent-1-0 libpolkit-gobject-1-0 libproc2-0
	libpsl5t64 libpython3-stdlib libpython3.13-minimal libpython3.13-stdlib libreadline8t64 librtmp1 libsasl2-2
	libsasl2-modules-db libseccomp2 libselinux1 libsemanage-common libsemanage2 libsepol2 libsmartcols1 libsodium23
	libsqlite3-0 libss2 libssh2-1t64 libssl3t64 libstdc++6 libsystemd-shared libsystemd0 libtasn1-6
	libtext-charwidth-perl libtext-wrapi18n-perl libtinfo6 libtirpc-common libtirpc3t64 libuchardet0 libudev1
	libunistring5 libuuid1 libxtables12 libxxhash0 libyaml-0-2 libzstd1 linux-base linux-image-6.12.118+deb13-arm64
	linux-image-arm64 login login.defs logsave lsb-base lsb-release man-db mawk media-types mount nano ncurses-base
	ncurses-bin netbase netplan-generator netplan.io openssl openssl-provider-legacy passwd perl-base polkitd
	procps python-apt-common python3 python3-apt python3-cffi-backend python3-dbus python3-debconf
	python3-distro-info python3-minimal python3-netplan python3-yaml python3.13 python3.13-minimal raspi-firmware
	readline-common screen sed sensible-utils sgml-base sqv sudo systemd systemd-resolved systemd-sysv
	systemd-timesyncd sysvinit-utils tar tcpdump tzdata ucf udev unattended-upgrades util-linux uuid-runtime vim
	vim-common vim-runtime xml-core xz-utils zlib1g zstd
)

tree() {
	top_level
	accounts
	trixie_release
	identity
	network
	boot_settings
	units
	programs perl5.40.1 bash cat cp curl dash date dpkg dpkg-query grep ls mv perl ps python3 rm sed sudo systemctl tar true false
	package_folders
	dirs /usr/share/zoneinfo/Europe /usr/share/zoneinfo/America /etc/apt/mirrors
	time_zones Etc/UTC Europe/Berlin Europe/London America/New_York
	echo https://deb.debian.org/debian | file /etc/apt/mirrors/debian.list
	echo https://deb.debian.org/debian-security | file /etc/apt/mirrors/debian-security.list
	trixie_sources mirror+file:///etc/apt/mirrors/debian.list mirror+file:///etc/apt/mirrors/debian-security.list \
		'deb deb-src' 'trixie trixie-updates trixie-backports'
	package_database
}

fat_files() {
	upstream_config
	echo "console=tty0 root=PARTUUID=$root_partuuid" >cmdline.txt
	mkdir overlays
	firmware_placeholders "vmlinuz-$kernel" "initrd.img-$kernel" bcm2711-rpi-4-b.dtb bcm2837-rpi-3-b.dtb bootcode.bin \
		start4.elf fixup4.dat overlays/README.md
}

# A GPT with a hybrid MBR. sgdisk leaves two slots of that as the real image doesn't have them: the FAT's type, and the
# slot that protects the root partition.
disk() {
	local image=$1
	make_fat "$work/fat" "$fat_sectors" -F 16 -s 16 -r 512 -h "$fat_start"
	make_ext4 "$work/ext4" "$root_mib" "$ext4_features,64bit,huge_file,orphan_file,metadata_csum_seed"
	use_journal "$work/ext4"
	truncate -s $((disk_sectors * 512)) "$image"
	# sfdisk takes the number of a partition from the end of its name.
	sfdisk --quiet "$image" <<-END
		label: gpt
		label-id: $disk_uuid
		disk15 : start=$fat_start, size=$fat_sectors, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=$fat_partuuid
		disk1 : start=$root_start, size=${root_mib}MiB, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE, uuid=$root_partuuid
	END
	sgdisk --hybrid 15:EE "$image" >/dev/null
	sfdisk --quiet --label-nested dos --part-type "$image" 1 c
	echo "start=$root_start, size=$((disk_sectors - root_start)), type=ee" |
		sfdisk --quiet --label-nested dos --append "$image"
	sgdisk -v "$image"
	place "$work/fat" "$image" "$fat_start"
	place "$work/ext4" "$image" "$root_start"
}

# One member, with GNU's form of sparse files; what is sparse is told by the content, not by this machine's file system.
pack() {
	tar -C "${1%/*}" --format=gnu --sparse --hole-detection=raw --mtime="@$epoch" --mode=644 --owner=root:0 --group=root:0 \
		-c "${1##*/}" | xz -9 -T1
}
