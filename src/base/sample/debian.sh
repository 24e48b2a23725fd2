# Shell for make-sample: what the trees of all families have in common, being Debian systems. Sourced; a family's script
# sets kernel (a version) and packages.
# shellcheck shell=bash disable=SC2154

top_level() {
	dirs /usr /usr/bin /usr/sbin /usr/lib /usr/libexec /usr/share /usr/include /usr/src /usr/games \
		/usr/local /usr/local/bin /usr/local/sbin /usr/local/lib /usr/local/share /usr/local/etc \
		/boot /boot/firmware /dev /home /media /mnt /opt /proc /run /srv /sys /etc /var
	dir /root 700
	dir /tmp 1777
	link /bin usr/bin
	link /sbin usr/sbin
	link /lib usr/lib
}

kernel_files() {
	dirs /usr/lib/modules "/usr/lib/modules/$kernel" "/usr/lib/modules/$kernel/kernel"
	printf '' | file "/usr/lib/modules/$kernel/modules.dep"
	printf 'CONFIG_ARM64=y\n' | file "/boot/config-$kernel"
	echo "vmlinuz-$kernel: placeholder of the sample base, not a kernel" | file "/boot/vmlinuz-$kernel"
	echo "initrd.img-$kernel: placeholder of the sample base, not an initrd" | file "/boot/initrd.img-$kernel"
	link /vmlinuz "boot/vmlinuz-$kernel"
	link /initrd.img "boot/initrd.img-$kernel"
}

# programs PERL NAME…: PERL is a second name of perl's, or nothing where there is no perl.
programs() {
	local perl=$1 name
	shift
	for name in "$@"; do
		program "/usr/bin/$name"
	done
	for name in passwd su mount umount; do program "/usr/bin/$name" 4755; done
	for name in chpasswd nft sshd ip modprobe sysctl; do program "/usr/sbin/$name"; done
	link /usr/bin/sh dash
	# A hard link, as Debian's perl and others have them; debugfs leaves the counting to us.
	printf 'ln /usr/bin/perl /usr/bin/%s\nsif /usr/bin/perl links_count 2\n' "$perl" >>"$script"
	dirs /usr/lib/aarch64-linux-gnu
	# Too long for the inode: a symlink with a block of its own.
	link /usr/lib/aarch64-linux-gnu/long-link \
		/usr/share/doc/placeholder-with-a-name-that-is-longer-than-sixty-bytes/../placeholder-target-of-a-long-link
}

placeholder_units() {
	local unit
	for unit in "$@"; do
		printf '[Unit]\nDescription=%s of the sample base\n\n[Service]\nExecStart=/bin/false\n' "$unit" |
			file "/usr/lib/systemd/system/$unit"
	done
}

targets() {
	local unit
	for unit in "$@"; do
		printf '[Unit]\nDescription=%s\n' "$unit" | file "/usr/lib/systemd/system/$unit.target"
	done
}

# wanted TARGET UNIT…: enables units of the distribution.
wanted() {
	local target=$1 unit
	shift
	for unit in "$@"; do
		link "/etc/systemd/system/$target.target.wants/$unit" "/usr/lib/systemd/system/$unit"
	done
}

package_folders() {
	dirs /etc/apt /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/keyrings /etc/apt/preferences.d \
		/usr/share/doc /usr/share/keyrings /usr/share/zoneinfo /usr/share/zoneinfo/Etc /var/lib /var/lib/dpkg \
		/var/lib/dpkg/info /var/lib/apt /var/lib/apt/lists /var/lib/systemd /var/cache /var/cache/apt \
		/var/log /var/spool /var/backups /var/opt
	link /var/run /run
	link /var/lock /run/lock
	dir /var/mail 2775 0 8
	dir /var/tmp 1777
	dir /var/lib/private 700
}

time_zones() {
	local zone
	for zone in "$@"; do
		printf 'TZif placeholder of the sample base\n' | file "/usr/share/zoneinfo/$zone"
	done
}

package_database() {
	local name
	for name in "${packages[@]}"; do
		printf 'Package: %s\nStatus: install ok installed\nArchitecture: arm64\nVersion: 0~sample\nDescription: entry of the sample base\n\n' "$name"
	done | file /var/lib/dpkg/status
	echo arm64 | file /var/lib/dpkg/arch
	for name in "${packages[@]}"; do
		dir "/usr/share/doc/$name"
		echo "$name: an entry of the sample base; nothing of the package is in it." | file "/usr/share/doc/$name/copyright"
		printf '/.\n/usr/share/doc/%s/copyright\n' "$name" | file "/var/lib/dpkg/info/$name.list"
		# Twice as many files make this folder one with a hash index.
		printf '' | file "/var/lib/dpkg/info/$name.md5sums"
	done
	head -c 300000 /dev/zero | tr '\0' '#' | file /usr/share/doc/placeholder-of-many-blocks
}

# What the two families of Debian 13 share.
trixie_release() {
	file /usr/lib/os-release <<-END
		PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
		NAME="Debian GNU/Linux"
		VERSION_ID="13"
		VERSION="13 (trixie)"
		VERSION_CODENAME=trixie
		DEBIAN_VERSION_FULL=13.8
		ID=debian
		HOME_URL="https://www.debian.org/"
		SUPPORT_URL="https://www.debian.org/support"
		BUG_REPORT_URL="https://bugs.debian.org/"
	END
	link /etc/os-release ../usr/lib/os-release
	echo 13.8 | file /etc/debian_version
	dirs /etc/profile.d /etc/skel /etc/security /etc/pam.d /etc/cron.d /etc/cron.daily /etc/default /etc/modules-load.d \
		/etc/modprobe.d /etc/sysctl.d /etc/initramfs-tools /etc/initramfs-tools/conf.d
	printf '# ~/.bashrc: read by bash for shells that are not login shells.\n' | file /root/.bashrc
	printf '# ~/.profile: read by login shells.\n' | file /root/.profile
}

# trixie_sources MIRROR SECURITY TYPES SUITES: deb822, with a URI for each of the two archives.
trixie_sources() {
	{
		printf 'Types: %s\nURIs: %s\nSuites: %s\n' "$3" "$1" "$4"
		printf 'Components: main non-free-firmware\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n'
		printf 'Types: %s\nURIs: %s\nSuites: trixie-security\n' "$3" "$2"
		printf 'Components: main non-free-firmware\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n'
	} | file /etc/apt/sources.list.d/debian.sources
}
