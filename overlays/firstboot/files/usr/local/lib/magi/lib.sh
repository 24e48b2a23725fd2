# shellcheck shell=sh
# Shared by the scripts in this folder and the first-boot steps: sourced, never run.
# The MAGI_ variables may be set from outside, for a look at another root.

MAGI_CONF=${MAGI_CONF:-/etc/magi}
MAGI_STATE=${MAGI_STATE:-/var/lib/magi}
MAGI_RUN=${MAGI_RUN:-/run/magi}

# shellcheck source=/dev/null
. "$MAGI_CONF/magi.conf"
: "${MAGI_NODE:?}" "${MAGI_CLUSTER:?}" "${MAGI_VIP:?}" "${MAGI_INTERFACE:?}" "${MAGI_BOOT:?}"

log() {
	printf '%s\n' "$*" >&2
}

# One line of plain ASCII: what an archive or a kernel says may hold anything.
clean() {
	tr '\n' ' ' | tr -cd '\040-\176' | cut -c 1-300 | sed 's/ *$//'
}

# put FILE <content: FILE is replaced whole or not at all, and not touched if nothing changes.
put() {
	if ! cat >"$1.new"; then
		rm -f "$1.new"
		return 1
	elif cmp -s "$1.new" "$1"; then
		rm -f "$1.new"
	else
		sync "$1.new" && mv -f "$1.new" "$1" && sync "${1%/*}"
	fi
}

# The address of this node on its wired port; never the virtual one, which may move.
node_address() {
	ip -4 -o addr show dev "$MAGI_INTERFACE" scope global 2>/dev/null |
		awk -v vip="$MAGI_VIP" '{ sub("/.*", "", $4); if ($4 != vip) { print $4; exit } }'
}

# status_line PART N: state, detail, since and error are lines 1 to 4 of a part's file.
status_line() {
	sed -n "$2p" "$MAGI_STATE/status.d/$1" 2>/dev/null
}

# status_set PART STATE DETAIL [ERROR]: what PART does now. STATE is `done` or `up` where all is
# well, `failing` where it isn't, `running` or `waiting` on the way. Its clock runs on while state
# and detail stay, and nothing is written while nothing changes. Trouble here never stops the
# caller. One at a time: first boot, k3s and keepalived all have something to say.
status_set() {
	mkdir -p "$MAGI_RUN" "$MAGI_STATE/status.d"
	(
		flock 9
		status_write "$@"
		status_publish || log "magi-status: cannot write to $MAGI_BOOT"
		led_show
	) 9>"$MAGI_RUN/status.lock"
}

status_write() {
	status_since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	status_detail=$(printf '%s' "$3" | clean)
	if [ "$(status_line "$1" 1)" = "$2" ] && [ "$(status_line "$1" 2)" = "$status_detail" ]; then
		status_since=$(status_line "$1" 3)
	fi
	printf '%s\n%s\n%s\n%s\n' "$2" "$status_detail" "$status_since" \
		"$(printf '%s' "${4-}" | clean)" >"$MAGI_STATE/part.new" &&
		mv -f "$MAGI_STATE/part.new" "$MAGI_STATE/status.d/$1"
}

# The kernel's trigger for what is read from and written to the card: mmc1 for /dev/mmcblk1.
card_trigger() {
	card=$(findmnt --noheadings --output SOURCE "$MAGI_BOOT" 2>/dev/null | sed -n 's|^/dev/mmcblk\([0-9]*\)p.*|mmc\1|p')
	echo "${card:-mmc0}"
}

# The activity LED: quick blinks where something fails, a heartbeat on the way, and flickering with the card
# (or steady light, where the kernel can't do that) when all is well. Named led0 by older kernels.
led_show() {
	case " $(sed -sn 1p "$MAGI_STATE"/status.d/* 2>/dev/null | tr '\n' ' ')" in
	*' failing '*) led_trigger=timer ;;
	*' running '* | *' waiting '*) led_trigger=heartbeat ;;
	*) led_trigger=$(card_trigger) ;;
	esac
	for led in "${MAGI_LEDS:-/sys/class/leds}"/ACT "${MAGI_LEDS:-/sys/class/leds}"/led0; do
		[ -w "$led/trigger" ] || continue
		! grep -qF "[$led_trigger]" "$led/trigger" || return 0
		# A module in Debian's kernel, which nobody else loads.
		grep -qw -- "$led_trigger" "$led/trigger" || modprobe -q "ledtrig-$led_trigger" || :
		{ echo "$led_trigger" >"$led/trigger"; } 2>/dev/null || { echo default-on >"$led/trigger"; } 2>/dev/null || return 0
		# These files are there with the timer only.
		if [ -w "$led/delay_on" ]; then
			echo 100 >"$led/delay_on"
			echo 100 >"$led/delay_off"
		fi
		return 0
	done
}

# note TEXT: for steps; where inside the step first boot is. A new try leaves the error of the
# last one in the status until it is past the point that failed.
note() {
	status_before=$(cat "$MAGI_RUN/now" 2>/dev/null)
	status_now=$(printf '%s: %s' "${MAGI_STEP-}" "$*" | clean)
	printf '%s\n' "$status_now" >"$MAGI_RUN/now"
	if [ "$(status_line firstboot 1)" != failing ] || [ "$status_before" = "$(status_line firstboot 2)" ]; then
		status_set firstboot running "$status_now"
	fi
	log "$*"
}

# Asked each time, since a full card keeps no state that could say so.
card_is_full() {
	[ "$(df --output=avail "$MAGI_STATE" | tail -n 1)" -lt 1024 ]
}

# The FAT is for a card reader: rarely written, each file at once.
status_publish() {
	status_text | put "$MAGI_BOOT/magi-status.txt" &&
		status_json | put "$MAGI_BOOT/magi-status.json"
}

status_text() (
	printf 'node:    %s (cluster %s)\n' "$MAGI_NODE" "$MAGI_CLUSTER"
	address=$(node_address)
	printf 'address: %s\n' "${address:-none on $MAGI_INTERFACE}"
	! card_is_full || printf 'error:   the root file system is full\n'
	for part in "$MAGI_STATE"/status.d/*; do
		[ -f "$part" ] || continue
		{ IFS= read -r state && IFS= read -r detail && IFS= read -r since && IFS= read -r error; } <"$part"
		printf '\n%s: %s since %s\n  %s\n' "${part##*/}" "$state" "$since" "$detail"
		[ -z "$error" ] || printf '  error: %s\n' "$error"
	done
)

json_string() {
	printf '%s\n' "$1" | sed 's/[\\"]/\\&/g; s/.*/"&"/'
}

status_json() (
	printf '{\n  "format": 1,\n  "node": %s,\n  "cluster": %s,\n  "address": %s,\n  "full": %s,\n  "parts": {' \
		"$(json_string "$MAGI_NODE")" "$(json_string "$MAGI_CLUSTER")" "$(json_string "$(node_address)")" \
		"$(card_is_full && echo true || echo false)"
	comma=
	for part in "$MAGI_STATE"/status.d/*; do
		[ -f "$part" ] || continue
		{ IFS= read -r state && IFS= read -r detail && IFS= read -r since && IFS= read -r error; } <"$part"
		printf '%s\n    %s: {"state": %s, "detail": %s, "since": %s, "error": %s}' "$comma" \
			"$(json_string "${part##*/}")" "$(json_string "$state")" "$(json_string "$detail")" \
			"$(json_string "$since")" "$(json_string "$error")"
		comma=,
	done
	printf '\n  }\n}\n'
)
