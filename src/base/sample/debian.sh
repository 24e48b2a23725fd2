# Shell for make-sample: what the file systems of all families have in common, since all are Debian. Sourced; a family's
# script sets kernel (a version) and packages.
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

# passwd <LINES: the accounts of every Debian system, then LINES.
passwd() {
	{
		cat <<-END
			root:x:0:0:root:/root:/bin/bash
			daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
			bin:x:2:2:bin:/bin:/usr/sbin/nologin
			sys:x:3:3:sys:/dev:/usr/sbin/nologin
			mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
			www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
			_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
			nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
			systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin
		END
		cat
	} | file /etc/passwd
}

# groups NAME:GID[:MEMBER]…
groups() { printf '%s:\n' "$@" | sed 's/:/:x:/; s/:\([a-z]*\):$/:\1/' | file /etc/group; }

# shadow DAY ROOT SERVICE… <LINES: ROOT is the password field of root, DAY that of the last change, in days since 1970;
# LINES go to the end.
shadow() {
	local day=$1 root=$2
	shift 2
	{
		echo "root:$root:$day:0:99999:7:::"
		printf "%s:*:$day:0:99999:7:::\n" daemon bin sys mail www-data _apt nobody
		printf "%s:!*:$day::::::\n" "$@"
		cat
	} | file /etc/shadow 640 0 42
	printf 'root:*::\nshadow:*::\n' | file /etc/gshadow 640 0 42
}

# hosts <LINES
hosts() {
	{
		printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n'
		printf 'ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n'
		cat
	} | file /etc/hosts
}

# release VERSION CODENAME FULL <LINES: LINES go into os-release.
release() {
	{
		printf 'PRETTY_NAME="Debian GNU/Linux %s (%s)"\nNAME="Debian GNU/Linux"\n' "$1" "$2"
		printf 'VERSION_ID="%s"\nVERSION="%s (%s)"\nVERSION_CODENAME=%s\n' "$1" "$1" "$2" "$2"
		cat
		printf 'ID=debian\nHOME_URL="https://www.debian.org/"\nSUPPORT_URL="https://www.debian.org/support"\n'
		echo 'BUG_REPORT_URL="https://bugs.debian.org/"'
	} | file /usr/lib/os-release
	link /etc/os-release ../usr/lib/os-release
	echo "$3" | file /etc/debian_version
}

shell_startup_files() {
	printf '# ~/.bashrc: read by bash for shells that are not login shells.\n' | file /root/.bashrc
	printf '# ~/.profile: read by login shells.\n' | file /root/.profile
}

# What the two families of Debian 13 have in common.
trixie_release() {
	echo DEBIAN_VERSION_FULL=13.8 | release 13 trixie 13.8
	dirs /etc/profile.d /etc/skel /etc/security /etc/pam.d /etc/cron.d /etc/cron.daily /etc/default /etc/modules-load.d \
		/etc/modprobe.d /etc/sysctl.d /etc/initramfs-tools /etc/initramfs-tools/conf.d
	shell_startup_files
}

# sshd_config ENVIRONMENT: the names that a client may set.
sshd_config() {
	file /etc/ssh/sshd_config <<-END
		# Settings of the ssh server; the first value found for a setting holds.
		Include /etc/ssh/sshd_config.d/*.conf

		#PermitRootLogin prohibit-password
		#PasswordAuthentication yes
		KbdInteractiveAuthentication no
		UsePAM yes
		X11Forwarding yes
		PrintMotd no
		AcceptEnv $1
		Subsystem sftp /usr/lib/openssh/sftp-server
	END
}

# firmware_config <LINES: config.txt in the current folder.
firmware_config() { { echo '# Sample base: what the firmware of a Pi would read.'; cat; } >config.txt; }

# upstream_config: config.txt as Debian's raspi-firmware writes it.
upstream_config() {
	printf 'arm_64bit=1\nenable_uart=1\nupstream_kernel=1\n\nkernel=vmlinuz-%s\ninitramfs initrd.img-%s\n' \
		"$kernel" "$kernel" | firmware_config
}

# firmware_placeholders NAME…: in the current folder.
firmware_placeholders() {
	local name
	for name in "$@"; do
		echo "$name: placeholder of magi-image's sample base; nothing of this image boots" >"$name"
	done
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
