# Shell for make-sample: the sample of family C, Raspberry Pi OS Lite on Debian 13. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

epoch=1793491200 # 2026-11-01
default_out=sample-c.img.xz
kernel=6.12.47+rpt-rpi-v8
# Starts and sizes are multiples of 8 MiB, as pi-gen makes them; a FAT32 with clusters of one sector has more than 32 MiB.
fat_start=16384 fat_sectors=81920
root_start=98304 root_mib=152
disk_id=6d616769

# The user pi can't log in before the first-user dialog has renamed it.
accounts() {
	passwd <<-END
		systemd-timesync:x:990:990:systemd Time Synchronization:/:/usr/sbin/nologin
		messagebus:x:989:989:System Message Bus:/nonexistent:/usr/sbin/nologin
		sshd:x:984:65534:sshd user:/run/sshd:/usr/sbin/nologin
		pi:x:1000:1000:,,,:/home/pi:/bin/bash
	END
	groups root:0 daemon:1 bin:2 sys:3 mail:8 www-data:33 shadow:42 staff:50 systemd-journal:999 systemd-network:998 \
		systemd-timesync:990 messagebus:989 nogroup:65534 pi:1000 adm:4:pi dialout:20:pi cdrom:24:pi sudo:27:pi audio:29:pi \
		video:44:pi plugdev:46:pi games:60:pi users:100:pi input:995:pi render:992:pi netdev:103:pi gpio:986:pi i2c:987:pi \
		spi:985:pi
	echo 'pi:*:20758:0:99999:7:::' | shadow 20758 '*' systemd-network systemd-timesync messagebus sshd
	printf 'pi:100000:65536\n' | file /etc/subuid
	printf 'pi:100000:65536\n' | file /etc/subgid
	dir /home/pi 700 1000 1000
	printf '# ~/.profile: read by login shells.\n' | file /home/pi/.profile 644 1000 1000
	dir /root/.ssh 700
}

issue() { printf 'Raspberry Pi reference 2026-11-01\nSample base of magi-image: not a real image, stage2\n'; }

identity() {
	issue | file /etc/rpi-issue
	echo raspberrypi | file /etc/hostname
	printf '\n127.0.1.1\traspberrypi\n' | hosts
	file /etc/fstab <<-END
		proc            /proc           proc    defaults          0       0
		PARTUUID=$disk_id-01  /boot/firmware  vfat    defaults          0       2
		PARTUUID=$disk_id-02  /               ext4    defaults,noatime  0       1
	END
	echo uninitialized | file /etc/machine-id
	link /etc/localtime /usr/share/zoneinfo/Europe/London
	echo Europe/London | file /etc/timezone
	echo 'LANG=en_GB.UTF-8' | file /etc/locale.conf
	link /etc/default/locale ../locale.conf
	printf 'XKBMODEL="pc105"\nXKBLAYOUT="gb"\n' | file /etc/default/keyboard
}

network() {
	dirs /etc/NetworkManager /etc/NetworkManager/{conf.d,dispatcher.d,system-connections} /etc/netplan /etc/systemd \
		/etc/systemd/network /etc/ssh /etc/ssh/sshd_config.d /etc/ssh/ssh_config.d
	own /etc/NetworkManager/system-connections 40700
	printf '[main]\nplugins=ifupdown,keyfile\n\n[ifupdown]\nmanaged=false\n' | file /etc/NetworkManager/NetworkManager.conf
	# The old names of network interfaces: eth0, wlan0.
	link /etc/systemd/network/99-default.link /dev/null
	link /etc/systemd/network/73-usb-net-by-mac.link /dev/null
	sshd_config 'LANG LC_* COLORTERM NO_COLOR'
	echo 'Banner /usr/share/userconf-pi/sshd_banner' | file /etc/ssh/sshd_config.d/rename_user.conf
}

cloud_init() {
	dirs /etc/cloud /etc/cloud/cloud.cfg.d /etc/cloud/templates
	printf '# Placeholder of the sample base.\nusers:\n  - default\n' | file /etc/cloud/cloud.cfg
	file /etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg <<-END
		datasource_list: [NoCloud, None]
		datasource:
		  NoCloud:
		    seedfrom: file:///boot/firmware
	END
}

# ssh is installed and off; the first-user dialog is on, and tty1 has no login prompt until it has ended.
units() {
	dirs /usr/lib/systemd /usr/lib/systemd/system /etc/systemd/system \
		/etc/systemd/system/{multi-user,sysinit,network-online,getty,cloud-init,timers}.target.wants
	placeholder_units ssh.service NetworkManager.service NetworkManager-wait-online.service systemd-timesyncd.service \
		systemd-time-wait-sync.service getty@.service regenerate_ssh_host_keys.service sshswitch.service rpi-resize.service \
		userconfig.service cloud-init-main.service cloud-init-local.service cloud-init-network.service cloud-config.service \
		cloud-final.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer
	targets basic sysinit multi-user network-online time-sync cloud-init
	link /usr/lib/systemd/system/default.target multi-user.target
	wanted multi-user NetworkManager.service regenerate_ssh_host_keys.service sshswitch.service userconfig.service
	wanted sysinit systemd-timesyncd.service rpi-resize.service
	wanted network-online NetworkManager-wait-online.service
	wanted cloud-init cloud-init-main.service cloud-init-local.service cloud-init-network.service cloud-config.service cloud-final.service
	wanted timers apt-daily.timer apt-daily-upgrade.timer fstrim.timer
}

packages=(
	adduser apt avahi-daemon base-files base-passwd bash bash-completion bluez-firmware bsdextrautils bsdutils
	busybox ca-certificates cloud-init coreutils cpio cron cron-daemon-common curl dash dbus dbus-bin dbus-daemon
	dbus-session-bus-common dbus-system-bus-common debconf debian-archive-keyring debianutils dhcpcd-base diffutils
	dmsetup dosfstools dpkg dracut-install e2fsprogs eject ethtool fdisk findutils firmware-brcm80211 gcc-14-base
	gdisk grep groff-base gzip hostname init init-system-helpers initramfs-tools initramfs-tools-bin
	initramfs-tools-core iproute2 iputils-ping iw klibc-utils kmod less libacl1 libapparmor1 libapt-pkg7.0
	libatomic1 libattr1 libaudit-common libaudit1 libavahi-common-data libavahi-common3 libavahi-core7 libblkid1
	libbluetooth3 libbpf1 libbrotli1 libbsd0 libbz2-1.0 libc-bin libc-l10n libc6 libcap-ng0 libcap2 libcap2-bin
	libcbor0.10 libcom-err2 libcrypt1 libcurl3t64-gnutls libcurl4t64 libdaemon0 libdb5.3t64 libdbus-1-3
	libdebconfclient0 libdevmapper1.02.1 libduktape207 libedit2 libelf1t64 libexpat1 libext2fs2t64 libfdisk1
	libffi8 libfido2-1 libgcc-s1 libgdbm6t64 libglib2.0-0t64 libgmp10 libgnutls30t64 libgssapi-krb5-2
	libhogweed6t64 libidn2-0 libjansson4 libk5crypto3 libkeyutils1 libklibc libkmod2 libkrb5-3 libkrb5support0
	liblastlog2-2 libldap2 liblz4-1 liblzma5 libmd0 libmm-glib0 libmnl0 libmount1 libncursesw6 libndp0 libnetplan1
	libnettle8t64 libnewt0.52 libnghttp2-14 libnghttp3-9 libngtcp2-16 libngtcp2-crypto-gnutls8 libnl-3-200
	libnl-genl-3-200 libnl-route-3-200 libnm0 libp11-kit0 libpam-modules libpam-modules-bin libpam-runtime
	libpam-systemd libpam0g libparted2t64 libpcre2-8-0 libpcsclite1 libpipeline1 libpolkit-agent-1-0
	libpolkit-gobject-1-0 libpopt0 libproc2-0 libpsl5t64 libpython3-stdlib libpython3.13-minimal
	libpython3.13-stdlib libreadline8t64 librtmp1 libsasl2-2 libsasl2-modules-db libseccomp2 libselinux1
	libsemanage-common libsemanage2 libsepol2 libslang2 libsmartcols1 libsqlite3-0 libss2 libssh2-1t64 libssl3t64
	libstdc++6 libsystemd-shared libsystemd0 libtasn1-6 libteamdctl0 libtext-charwidth-perl libtext-wrapi18n-perl
	libtinfo6 libtirpc-common libtirpc3t64 libuchardet0 libudev1 libunistring5 libuuid1 libwrap0 libwtmpdb0
	libxtables12 libxxhash0 libyaml-0-2 libzstd1 linux-base linux-image-rpi-2712 linux-image-rpi-v8 locales login
	login.defs logsave lsb-base lsb-release man-db mawk media-types mount nano ncurses-base ncurses-bin netbase
	netcat-openbsd netplan-generator netplan.io network-manager openssh-client openssh-server openssh-sftp-server
	openssl openssl-provider-legacy parted passwd perl-base polkitd procps psmisc python3 python3-attr
	python3-bcrypt python3-blinker python3-certifi python3-cffi-backend python3-chardet python3-charset-normalizer
	python3-configobj python3-cryptography python3-idna python3-jinja2 python3-json-pointer python3-jsonpatch
	python3-jsonschema python3-jsonschema-specifications python3-jwt python3-markupsafe python3-minimal
	python3-netplan python3-oauthlib python3-referencing python3-requests python3-rpds-py python3-urllib3
	python3-yaml python3.13 python3.13-minimal raspberrypi-archive-keyring raspberrypi-sys-mods raspi-config
	raspi-firmware readline-common rpi-cloud-init-mods rsync runit-helper sed sensible-utils sgml-base sqv sudo
	systemd systemd-sysv systemd-timesyncd sysvinit-utils tar tzdata ucf udev unzip userconf-pi util-linux
	vim-common vim-tiny wget wpasupplicant xml-core xz-utils zip zlib1g zstd
)

tree() {
	top_level
	accounts
	trixie_release
	identity
	network
	cloud_init
	kernel_files
	units
	programs perl5.40.1 bash cat cp curl dash date dpkg dpkg-query grep ls mv nmcli perl ps python3 raspi-config rm sed sudo \
		systemctl tar true false
	package_folders
	dirs /usr/share/zoneinfo/Europe /usr/share/zoneinfo/America
	time_zones Etc/UTC Europe/Berlin Europe/London America/New_York
	trixie_sources http://deb.debian.org/debian/ http://deb.debian.org/debian-security/ deb 'trixie trixie-updates'
	package_database
}

fat_files() {
	printf 'dtparam=audio=on\nauto_initramfs=1\ndtoverlay=vc4-kms-v3d\ndisable_fw_kms_setup=1\narm_64bit=1\narm_boost=1\n\n[cm4]\notg_mode=1\n\n[cm5]\ndtoverlay=dwc2,dr_mode=host\n\n[all]\n' |
		firmware_config
	echo "console=serial0,115200 console=tty1 root=PARTUUID=$disk_id-02 rootfstype=ext4 fsck.repair=yes rootwait resize" >cmdline.txt
	issue >issue.txt
	printf 'dsmode: local\ninstance_id: rpios-image\n' >meta-data
	printf '#cloud-config\n\n# Settings for the first boot; all of them are comments.\n#hostname: raspberrypi\n' >user-data
	printf '# Network settings for the first boot; all of them are comments.\n#network:\n#  version: 2\n' >network-config
	mkdir overlays
	firmware_placeholders kernel8.img kernel_2712.img initramfs8 initramfs_2712 bcm2710-rpi-3-b.dtb bcm2711-rpi-4-b.dtb \
		bcm2712-rpi-5-b.dtb bootcode.bin start4.elf fixup4.dat overlays/README
}

disk() {
	local image=$1
	make_fat "$work/fat" "$fat_sectors" -F 32 -s 1 -h "$fat_start" -n bootfs
	make_ext4 "$work/ext4" "$root_mib" "$ext4_features,orphan_file,metadata_csum_seed" -L rootfs
	use_journal "$work/ext4"
	truncate -s $((root_start * 512 + root_mib * 1024 * 1024)) "$image"
	sfdisk --quiet "$image" <<-END
		label: dos
		label-id: 0x$disk_id
		start=$fat_start, size=$fat_sectors, type=c
		start=$root_start, size=${root_mib}MiB, type=83
	END
	place "$work/fat" "$image" "$fat_start"
	place "$work/ext4" "$image" "$root_start"
}

# Several blocks, as xz with threads makes them.
pack() { xz -9 -T1 --block-size=64MiB --stdout "$1"; }
