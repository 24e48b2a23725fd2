#!/usr/bin/env bats
# The service magi-sysconf, which applies sysconf.txt on base images that don't do so themselves.

load helpers

service=overlays/common/files/usr/local/sbin/magi-sysconf
template=overlays/common/files/usr/local/share/magi/sysconf.txt

setup() {
	new_node
	mkdir -p "$node/root" "$node/etc"
	printf '127.0.0.1 localhost\n127.0.1.1 before\n' >"$node/etc/hosts"
	fake chpasswd <<<'cat >"$SCRATCH/password"'
}

# sysconf TEXT: writes TEXT, with printf's escapes, to the boot partition and runs the service.
sysconf() {
	rm -rf "$node/etc/hostname" "$node/root/.ssh" "$SCRATCH/password"
	# shellcheck disable=SC2059
	printf "$1" >"$node/boot/sysconf.txt"
	apply
}

apply() {
	on_node env SYSCONF_ROOT="$node" SYSCONF_FILE="$node/boot/sysconf.txt" SYSCONF_TEMPLATE="${used_template-$template}" \
		perl "$service" 2>"$SCRATCH/log"
}

# assert_hostname WANTED TEXT: WANTED is as printf writes it, and empty if no host name may be set.
assert_hostname() {
	sysconf "$2"
	[ -e "$node/etc/hostname" ] || printf '\n' >"$node/etc/hostname"
	# shellcheck disable=SC2059
	assert_equal "$2 → $(printf "$1" | od -c)" "$2 → $(head -c -1 "$node/etc/hostname" | od -c)"
}

@test "sysconf: lines are read as on Debian's older images" {
	assert_hostname rpi 'hostname=rpi\n'
	assert_hostname rpi 'hostname=rpi'
	assert_hostname rpi '\n\n# a comment\nhostname= rpi\n'
	assert_hostname rpi '  hostname=rpi\n'
	assert_hostname rpi '\tHostName=rpi\n'
	assert_hostname '' 'hostname = rpi\n'
	assert_hostname 'rpi \t' 'hostname=rpi \t\n'
	assert_hostname 'rpi\r' 'hostname=rpi\r\n'
	assert_hostname '"rpi"' 'hostname="rpi"\n'
	assert_hostname r 'hostname=r#pi\n'
	assert_hostname 'rpi ' 'hostname=rpi # mine\n'
	assert_hostname 'rpi#' 'hostname=rpi#\n'
	assert_hostname a=b 'hostname=a=b\n'
	assert_hostname b 'hostname=a\nhostname=b\n'
	assert_hostname '' 'hostname=a\nhostname=\n'
	assert_hostname '' 'hostname=0\n'
	assert_hostname 00 'hostname=00\n'
	assert_hostname '' '\357\273\277hostname=rpi\n'
	assert_hostname '' '#hostname=rpi\n=rpi\nhostname\n'
	assert_hostname 'Not_A.Name' 'hostname=Not_A.Name\n'
}

@test "sysconf: the settings are applied, and the file becomes its template" {
	sysconf 'root_pw=a b=c\nroot_authorized_key=ssh-ed25519 AAAA me@desk\nhostname=rpi\n'
	assert_equal 'root:a b=c' "$(cat "$SCRATCH/password")"
	assert_equal 'ssh-ed25519 AAAA me@desk' "$(cat "$node/root/.ssh/authorized_keys")"
	assert_equal '600 700 644' "$(stat -c %a "$node/root/.ssh/authorized_keys" "$node/root/.ssh" "$node/etc/hostname" | xargs)"
	cmp "$template" "$node/boot/sysconf.txt"
	assert_equal '127.0.1.1 before' "$(tail -n 1 "$node/etc/hosts")"
}

@test "sysconf: the comment of a key is cut at '#', and the key replaces all others" {
	sysconf 'root_authorized_key=ssh-ed25519 AAAA me@desk #2\n'
	assert_equal 'ssh-ed25519 AAAA me@desk ' "$(cat "$node/root/.ssh/authorized_keys")"
	printf 'root_authorized_key=ssh-ed25519 BBBB\n' >"$node/boot/sysconf.txt"
	apply
	assert_equal 'ssh-ed25519 BBBB' "$(cat "$node/root/.ssh/authorized_keys")"
}

@test "sysconf: unknown settings stay in the file, with a message; comments and duplicates don't" {
	sysconf '# my note: root_pw=secret\nwifi=off\nWiFi=on\nempty=\nhostname = rpi\n'
	assert_equal "$(cat "$template" - <<<$'empty=\nhostname =rpi\nwifi=on')" "$(cat "$node/boot/sysconf.txt")"
	assert_file_contains "$SCRATCH/log" 'unknown setting, kept in .*: wifi$'
}

@test "sysconf: without a setting nothing is written" {
	cp "$template" "$node/boot/sysconf.txt"
	touch -d 2001-01-01 "$node/boot/sysconf.txt"
	apply
	assert_equal 2001 "$(date -r "$node/boot/sysconf.txt" +%Y)"
	refute_file_contains "$CALLS" .
	rm "$node/boot/sysconf.txt"
	apply
	[ ! -e "$node/boot/sysconf.txt" ]
}

@test "sysconf: running twice changes nothing" {
	sysconf 'hostname=rpi\nwifi=on\nx=#\n'
	cp "$node/boot/sysconf.txt" "$SCRATCH/once"
	: >"$CALLS"
	apply
	cmp "$SCRATCH/once" "$node/boot/sysconf.txt"
	refute_file_contains "$CALLS" .
}

@test "sysconf: what fails keeps the file for the next boot and doesn't stop the rest" {
	fake chpasswd <<<'cat >/dev/null; exit 1'
	refute sysconf 'root_pw=x\nhostname=rpi\n'
	assert_file_contains "$SCRATCH/log" 'chpasswd refused root_pw'
	assert_equal rpi "$(cat "$node/etc/hostname")"
	assert_file_contains "$node/boot/sysconf.txt" '^root_pw=x$'
	rm "$node/boot/sysconf.txt"
	used_template=/nonexistent refute sysconf 'hostname=rpi\n'
	assert_file_contains "$SCRATCH/log" 'cannot read /nonexistent'
	assert_file_contains "$node/boot/sysconf.txt" '^hostname=rpi$'
}

@test "sysconf: a file that can't be read is reported" {
	ln -s sysconf.txt "$node/boot/sysconf.txt"
	refute apply
	assert_file_contains "$SCRATCH/log" 'cannot read .*/boot/sysconf.txt: '
}

# cut_power_at N: the service is killed at its Nth call of `sync`.
cut_power_at() {
	echo "$1" >"$SCRATCH/left"
	fake sync <<-'END'
		left=$(($(cat "$SCRATCH/left") - 1))
		echo "$left" >"$SCRATCH/left"
		[ "$left" != 0 ] || kill -9 "$PPID"
	END
}

@test "sysconf: a power cut leaves whole files, and the next boot applies what is left" {
	local cut cuts=0
	for cut in 1 2 3 4 5 6 7 8 9; do
		cut_power_at "$cut"
		if sysconf 'root_pw=x\nroot_authorized_key=ssh-ed25519 AAAA\nhostname=rpi\n'; then break; fi
		cuts=$((cuts + 1))
		assert_equal "$cut: ssh-ed25519 AAAA" "$cut: $(cat "$node/root/.ssh/authorized_keys" 2>/dev/null || echo ssh-ed25519 AAAA)"
		assert_equal "$cut: rpi" "$cut: $(cat "$node/etc/hostname" 2>/dev/null || echo rpi)"
		apply
		assert_equal "$cut: rpi" "$cut: $(cat "$node/etc/hostname")"
		assert_equal 'root:x' "$(cat "$SCRATCH/password")"
		cmp "$template" "$node/boot/sysconf.txt"
	done
	# The password, and twice for each of three files.
	assert_equal 7 "$cuts"
}

@test "sysconf: several hundred random files have the same effect as on Debian's older images" {
	sed "s|/usr/sbin/chpasswd|chpasswd|" tests/boot/base/a/rpi-set-sysconf >"$SCRATCH/original"
	"$python" tests/firstboot/sysconf-compare.py "$SCRATCH/original" "$service" "$template" "$SCRATCH"
}
