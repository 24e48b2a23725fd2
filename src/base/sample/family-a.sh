# Shell for make-sample: the sample of family A, a Debian 12 image of raspi.debian.net. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

# The day of the published image.
epoch=1699488000
default_out=sample.img.xz
kernel=6.1.0-13-arm64
disk_mib=224 fat_start_sector=8192 fat_mib=64 root_mib=152

accounts() {
	passwd <<-END
		systemd-timesync:x:997:997:systemd Time Synchronization:/:/usr/sbin/nologin
		messagebus:x:100:102::/nonexistent:/usr/sbin/nologin
		sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
	END
	groups root:0 daemon:1 bin:2 sys:3 adm:4 mail:8 sudo:27 www-data:33 shadow:42 staff:50 users:100 \
		systemd-journal:999 systemd-network:998 systemd-timesync:997 messagebus:102 nogroup:65534
	# root's password is empty, as in the real images.
	shadow 19670 '' systemd-network systemd-timesync messagebus sshd </dev/null
}

identity() {
	echo rpi_4-sample | file /etc/hostname
	hosts </dev/null
	printf 'LABEL=RASPIROOT / ext4 rw 0 1\nLABEL=RASPIFIRM /boot/firmware vfat rw 0 2\n' | file /etc/fstab
	release 12 bookworm 12.2 </dev/null
	echo 'magi-image sample base: not a real image' | file /etc/raspi-image-id
	echo uninitialized | file /etc/machine-id
	link /etc/localtime /usr/share/zoneinfo/Etc/UTC
	echo Etc/UTC | file /etc/timezone
	printf 'root:\t*:::\n' | file /etc/subuid
	dirs /etc/profile.d /etc/skel /etc/security /etc/pam.d /etc/cron.d /etc/cron.daily
	shell_startup_files
}

network() {
	dirs /etc/network /etc/network/interfaces.d /etc/network/if-up.d /etc/ssh /etc/ssh/sshd_config.d /etc/ssh/ssh_config.d
	printf '# Interfaces are described in the files of the folder beside this one.\nsource /etc/network/interfaces.d/*\n' |
		file /etc/network/interfaces
	printf 'auto eth0\n\niface eth0 inet dhcp\niface eth0 inet6 auto\n' | file /etc/network/interfaces.d/eth0
	sshd_config 'LANG LC_*'
	file /etc/nftables.conf 755 <<-END
		#!/usr/sbin/nft -f

		flush ruleset

		table inet filter {
		 	chain input {
		 		type filter hook input priority filter;
		 	}
		 	chain forward {
		 		type filter hook forward priority filter;
		 	}
		 	chain output {
		 		type filter hook output priority filter;
		 	}
		}
	END
}

boot_settings() {
	dirs /etc/default /etc/modules-load.d /etc/modprobe.d /etc/sysctl.d /etc/initramfs-tools /etc/initramfs-tools/conf.d
	file /etc/default/raspi-firmware <<-END
		# Settings of the hook that writes /boot/firmware/config.txt and cmdline.txt.
		#KERNEL="auto"
		#INITRAMFS="auto"
		#CMA=64M
		ROOTPART=LABEL=RASPIROOT
		#CONSOLES="auto"
	END
	printf '' | file /etc/default/raspi-extra-cmdline
	printf '# Kernel modules to load at boot, one on a line.\n' | file /etc/modules
	link /etc/modules-load.d/modules.conf ../modules
	printf '# Kernel settings; see sysctl.conf(5).\n' | file /etc/sysctl.conf
	link /etc/sysctl.d/99-sysctl.conf ../sysctl.conf
	kernel_files
}

# rpi_unit NAME DESCRIPTION EXEC TARGET
rpi_unit() {
	printf '[Unit]\nDescription=%s\n\n[Service]\nType=oneshot\nExecStart=%s\n\n[Install]\nRequiredBy=%s\n' \
		"$2" "$3" "$4" | file "/etc/systemd/system/$1"
	link "/etc/systemd/system/$4.requires/$1" "/etc/systemd/system/$1"
}

units() {
	dirs /etc/systemd /usr/lib/systemd /usr/lib/systemd/system /etc/systemd/system \
		/etc/systemd/system/{basic,sysinit,multi-user}.target.requires \
		/etc/systemd/system/{multi-user,sysinit,network-online,getty}.target.wants
	rpi_unit rpi-set-sysconf.service 'Apply the settings of sysconf.txt' /usr/local/sbin/rpi-set-sysconf basic.target
	rpi_unit rpi-reconfigure-raspi-firmware.service 'Write config.txt and cmdline.txt, once' \
		'/usr/sbin/dpkg-reconfigure raspi-firmware' sysinit.target
	rpi_unit rpi-generate-ssh-host-keys.service "Make this machine's ssh host keys" \
		'/usr/sbin/dpkg-reconfigure openssh-server' multi-user.target
	program /usr/local/sbin/rpi-set-sysconf
	placeholder_units ssh.service nftables.service networking.service systemd-timesyncd.service \
		systemd-time-wait-sync.service getty@.service
	targets basic sysinit multi-user network-online time-sync
	link /usr/lib/systemd/system/default.target multi-user.target
	link /etc/systemd/system/multi-user.target.wants/ssh.service /lib/systemd/system/ssh.service
	link /etc/systemd/system/sshd.service /lib/systemd/system/ssh.service
	link /etc/systemd/system/multi-user.target.wants/networking.service /lib/systemd/system/networking.service
	link /etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service /lib/systemd/system/systemd-timesyncd.service
}

packages=(
	adduser apt base-files base-passwd bash bsdutils ca-certificates coreutils dash dbus debconf
	debian-archive-keyring debianutils diffutils dosfstools dpkg e2fsprogs findutils
	firmware-brcm80211 bluez-firmware gcc-12-base grep gzip hostname ifupdown init initramfs-tools iproute2
	isc-dhcp-client iw kmod less libacl1 libapparmor1 libapt-pkg6.0 libattr1 libaudit1 libblkid1
	libbpf1 libbz2-1.0 libc6 libcap2 libcom-err2 libcrypt1 libdb5.3 libdebconfclient0 libext2fs2
	libfdisk1 libffi8 libgcc-s1 libgcrypt20 libgmp10 libgnutls30 libgpg-error0 libhogweed6 libidn2-0
	libkmod2 liblz4-1 liblzma5 libmd0 libmount1 libncursesw6 libnettle8 libnftables1 libp11-kit0
	libpam-modules libpam-runtime libpam0g libpcre2-8-0 libreadline8 libseccomp2 libselinux1
	libsemanage2 libsepol2 libsmartcols1 libss2 libssl3 libstdc++6 libsystemd0 libtasn1-6 libtinfo6
	libudev1 libunistring2 libuuid1 libxxhash0 libzstd1 linux-image-arm64 login logsave mawk mount
	nano ncurses-base ncurses-bin netbase nftables openssh-client openssh-server parted passwd perl
	perl-base procps raspi-firmware readline-common sed ssh sysvinit-utils systemd systemd-sysv
	systemd-timesyncd tar tzdata udev usr-is-merged util-linux vim-tiny wpasupplicant zlib1g
)

package_sources() {
	local name
	for name in '' -updates; do
		echo "deb http://deb.debian.org/debian bookworm$name main non-free-firmware"
	done | { cat; echo 'deb http://security.debian.org/debian-security bookworm-security main non-free-firmware'; } |
		file /etc/apt/sources.list
}

tree() {
	top_level
	accounts
	identity
	network
	boot_settings
	units
	programs perl5.36.0 bash cat cp dash date dpkg dpkg-query grep ls mv perl ps rm sed systemctl tar true false
	package_folders
	time_zones Etc/UTC
	package_sources
	package_database
}

fat_files() {
	cp "$here/sysconf.txt" .
	upstream_config
	echo 'console=tty0 console=ttyS1,115200 root=LABEL=RASPIROOT rw fsck.repair=yes net.ifnames=0  cma=64M rootwait ' >cmdline.txt
	firmware_placeholders "vmlinuz-$kernel" "initrd.img-$kernel" bcm2711-rpi-4-b.dtb bcm2837-rpi-3-b.dtb bootcode.bin \
		start4.elf fixup4.dat
}

disk() {
	local image=$1 root_start=$((fat_start_sector + fat_mib * 2048))
	make_fat "$work/fat" $((fat_mib * 2048)) -F 16 -s 16 -r 512 -n RASPIFIRM
	make_ext4 "$work/ext4" "$root_mib" "$ext4_features,64bit,huge_file" -L RASPIROOT
	truncate -s "${disk_mib}M" "$image"
	sfdisk --quiet "$image" <<-END
		label: dos
		label-id: 0x6d616769
		start=$fat_start_sector, size=${fat_mib}MiB, type=c
		start=$root_start, size=${root_mib}MiB, type=83
	END
	place "$work/fat" "$image" "$fat_start_sector"
	place "$work/ext4" "$image" "$root_start"
}

pack() { xz -9 -T1 --stdout "$1"; }
