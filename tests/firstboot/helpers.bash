# shellcheck shell=bash
# Shared by all tests in this folder: assertions, stand-in commands and the root of a test node.
#
# bats fails a test at the first command that fails, except in `! command`, `a && b` and conditions:
# there use `refute`, and one line for each assertion.

cd "$BATS_TEST_DIRNAME/../.." || exit
python=${PYTHON:-python3}

# The cluster's addresses. They are loopback addresses so that a test can start servers on them.
# The node under test is caspar; its subnet is 127.0.1.0/27.
melchior_ip=127.0.1.11
balthazar_ip=127.0.1.12
caspar_ip=127.0.1.13
former_caspar_ip=127.0.1.9
unlisted_ip=127.0.1.7
vip=127.0.1.20
# MAC addresses of machines that don't belong to the cluster.
foreign_mac=02:00:00:00:00:98
second_foreign_mac=02:00:00:00:00:99

# --- assertions

fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# refute COMMAND…: the command must fail.
refute() {
	if "$@"; then fail "succeeded: $*"; fi
}

# assert_equal EXPECTED ACTUAL
assert_equal() {
	[ "$1" = "$2" ] || fail "$(diff --label expected --label actual -u <(echo "$1") <(echo "$2"))"
}

# assert_file_contains FILE REGEX
assert_file_contains() {
	grep -q -- "$2" "$1" || fail "no '$2' in ${1##*/}: $(head -c 600 "$1")"
}

refute_file_contains() {
	[ -e "$1" ] || fail "no file ${1##*/}"
	if grep -- "$2" "$1"; then fail "'$2' in ${1##*/}"; fi
}

# assert_status REGEX: the node's status file has a matching line.
assert_status() {
	assert_file_contains "$STATUS_TXT" "$1"
}

refute_status() {
	refute_file_contains "$STATUS_TXT" "$1"
}

# wait_until COMMAND…: at most ten seconds.
wait_until() {
	local tries
	for ((tries = 200; tries > 0; tries--)); do
		if "$@"; then return; fi
		sleep 0.05
	done
	fail "not within ten seconds: $*"
}

# --- stand-in commands

# fake NAME: the script on stdin runs wherever the node calls the command NAME.
fake() {
	record_calls_of "$1"
	write_script "$FAKES/do-$1" '#!/bin/bash'
}

# record_calls_of NAME…: these commands do nothing on the node and are recorded in $CALLS.
record_calls_of() {
	local name
	for name; do ln -sf "$BATS_TEST_DIRNAME/fake-command" "$FAKES/bin/$name"; done
}

# write_script FILE SHEBANG <BODY
write_script() {
	{
		echo "$2"
		cat
	} >"$1"
	chmod +x "$1"
}

# calls_of COMMAND: the arguments of each call.
calls_of() {
	sed -n "s/^$1 //p" "$CALLS"
}

# The seconds that the node's scripts wanted to sleep, in one line.
pauses() {
	calls_of sleep | xargs
}

# set_addresses [ADDRESS/LENGTH…]: what `ip addr` shows on the node's interface.
set_addresses() {
	: >"$SCRATCH/addresses"
	[ $# = 0 ] || printf '2: eth0    inet %s scope global eth0\n' "$@" >"$SCRATCH/addresses"
}

# arping_finds ADDRESS MAC…: these machines answer an ARP probe for ADDRESS.
arping_finds() {
	local address=$1
	shift
	{
		echo "[ \"\${!#}\" = $address ] || exit 0"
		printf "echo 'Unicast reply from $address [%s]  0.7ms'\n" "$@"
		echo 'exit 1'
	} | fake arping
}

# --- the node

# new_node [MAGI_NAME=VALUE…]: the root of the node caspar, with the scripts of the overlays and with
# VALUE in its magi.conf. Its apt, systemd and network commands are stand-ins.
new_node() {
	node=$(mktemp -d "$BATS_TEST_TMPDIR/node.XXXX")
	export FAKES=$node/fakes CALLS=$node/calls SCRATCH=$node/scratch
	export STATUS_TXT=$node/boot/magi-status.txt STATUS_JSON=$node/boot/magi-status.json
	export MAGI_LIB=$node/lib MAGI_CONF=$node/conf MAGI_STATE=$node/state MAGI_RUN=$node/run
	export MAGI_APT_LISTS=$node/lists MAGI_LEDS=$node/leds
	mkdir -p "$FAKES/bin" "$SCRATCH" "$MAGI_LIB/firstboot.d" "$MAGI_CONF" "$MAGI_STATE" "$node/boot"
	cp overlays/{firstboot,vip}/files/usr/local/lib/magi/* overlays/k3s/files/usr/local/lib/magi/k3s[.-]* "$MAGI_LIB"
	touch "$CALLS" "$MAGI_CONF/packages" "$MAGI_CONF/services"
	write_magi_conf "$@"
	fake_system
}

write_magi_conf() {
	printf "%s='%s'\n" MAGI_NODE caspar MAGI_CLUSTER magi MAGI_VIP "$vip" MAGI_INTERFACE eth0 MAGI_INIT no \
		MAGI_PEERS '' MAGI_BOOT "$node/boot" >"$MAGI_CONF/magi.conf"
	local setting
	for setting; do printf "%s='%s'\n" "${setting%%=*}" "${setting#*=}" >>"$MAGI_CONF/magi.conf"; done
}

fake_system() {
	record_calls_of apt-get dpkg systemctl journalctl arping sync modprobe findmnt
	fake sleep <<<'exec /bin/sleep 0.02'
	fake ip <<-'END'
		case $* in
		*addr*) cat "$SCRATCH/addresses" ;;
		*route*) cat "$SCRATCH/default-route" ;;
		esac
	END
	set_addresses "$caspar_ip/27"
	echo "default via ${caspar_ip%.*}.1" >"$SCRATCH/default-route"
}

# on_node COMMAND…: with the stand-in commands first in PATH.
on_node() {
	timeout 60 env PATH="$FAKES/bin:$PATH" "$@"
}

# --- first boot

# add_step NAME: the script on stdin is a first-boot step of the node.
add_step() {
	write_script "$MAGI_LIB/firstboot.d/$1" '#!/bin/sh'
}

# add_overlay_step NAME: a step of the overlay `firstboot`.
add_overlay_step() {
	cp "overlays/firstboot/firstboot/$1" "$MAGI_LIB/firstboot.d"
}

run_firstboot() {
	on_node sh "$MAGI_LIB/firstboot" </dev/null
}

start_firstboot() {
	PATH="$FAKES/bin:$PATH" setsid sh "$MAGI_LIB/firstboot" </dev/null >/dev/null 2>&1 3>&- &
	firstboot_pid=$!
}

# Kills first boot and everything that it started.
cut_power() {
	# Without a process group of its own yet, first boot is a single process.
	kill -9 -- "-$firstboot_pid" 2>/dev/null || kill -9 "$firstboot_pid" 2>/dev/null || true
	wait "$firstboot_pid" 2>/dev/null || true
}

# While a step waits for its next try, the status file goes to $SCRATCH/status-on-failure.
save_status_on_failure() {
	fake sleep <<<'cp "$STATUS_TXT" "$SCRATCH/status-on-failure"; : >"$SCRATCH/repaired"'
}
