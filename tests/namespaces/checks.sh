# shellcheck shell=bash
# What a case checks, and how long that may take; sourced by run, which sets $case and $pace. Each check
# prints a line "ok - …" or "not ok - …"; the first that fails ends the case, since run has `set -e`.

# For what only has to happen at some time: long enough for a busy machine.
patience=180

# eventually WHAT COMMAND…: true in the end.
eventually() {
	within "$patience" "$@"
}

# within SECONDS WHAT COMMAND…: true before that time is over, where the time is what is promised.
within() {
	local limit=$1 what=$2
	shift 2
	if until_true "$limit" "$@"; then
		ok "$what ($took s)"
	else
		not_ok "$what (not within $((limit * pace)) s: $*)"
	fi
}

# expect WHAT COMMAND…: true now.
expect() {
	local what=$1
	shift
	if "$@" >/dev/null 2>&1; then ok "$what"; else not_ok "$what ($*)"; fi
}

# throughout SECONDS WHAT COMMAND…: true each time in that time.
throughout() {
	local limit=$(($1 * pace)) what=$2 start=${EPOCHREALTIME/./}
	shift 2
	while took=$(since "$start") && [ "${took%.*}" -lt "$limit" ]; do
		"$@" >/dev/null 2>&1 || not_ok "$what (not after $took s: $*)"
		sleep 0.5
	done
	ok "$what (for $limit s)"
}

# Whatever happened to the nodes. 8 s is what keepalived needs to notice that the API hangs: twice 2 s of
# waiting for an answer, and the pauses between.
check_vip_invariants() {
	kill -0 "$watcher_pid" || not_ok 'the watcher has ended'
	longest_stretch 8 'the VIP leaves a node whose API is silent' api=no
	longest_stretch 6 'the VIP is on one node at a time' ,
}

# longest_stretch SECONDS WHAT TEXT: the watcher's lines with TEXT never lasted longer.
longest_stretch() {
	local found
	found=$("$here/watcher" longest "$work/$lan/seen" "$3")
	if awk -v found="${found%% *}" -v limit="$(($1 * pace))" 'BEGIN { exit !(found <= limit) }'; then
		ok "$2 (${found%% *} s at most)"
	else
		not_ok "$2 (longest: $found)"
	fi
}

ok() {
	echo "ok - $case: $1"
}

not_ok() {
	echo "not ok - $case: $1"
	reported=1
	describe_nodes 2>&1 | sed 's/^/#   /'
	return 1
}

# Printed below a failed check.
describe_nodes() {
	local machine file
	cat "$work/$lan/now" || true
	for machine in "$work/$lan"/*/; do
		echo "--- $(basename "$machine")"
		cat "$machine/root/boot/firmware/magi-status.txt" 2>/dev/null || true
		for file in "$machine"/root/var/log/*.log "$machine/console"; do
			[ ! -s "$file" ] || { echo "${file##*/}:" && tail -n 6 "$file"; }
		done
	done
	echo '--- the VIP'
	tail -n 12 "$work/$lan/seen" || true
}

# since MICROSECONDS: seconds with one decimal.
since() {
	local tenths=$(((${EPOCHREALTIME/./} - $1) / 100000))
	echo "$((tenths / 10)).$((tenths % 10))"
}

# until_true SECONDS COMMAND…: sets $took.
until_true() {
	local start=${EPOCHREALTIME/./} limit=$(($1 * pace))
	shift
	until "$@" >/dev/null 2>&1; do
		took=$(since "$start")
		[ "${took%.*}" -lt "$limit" ] || return 1
		sleep 0.3
	done
	took=$(since "$start")
}
