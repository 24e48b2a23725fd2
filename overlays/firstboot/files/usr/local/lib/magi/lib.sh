# shellcheck shell=sh
# Functions for the scripts in this folder and the first-boot steps: sourced, never run.
# The MAGI_ variables may be set by the caller, so that tests can use another root folder.

MAGI_CONF=${MAGI_CONF:-/etc/magi}
MAGI_STATE=${MAGI_STATE:-/var/lib/magi}
MAGI_RUN=${MAGI_RUN:-/run/magi}

# shellcheck source=/dev/null
. "$MAGI_CONF/magi.conf"
: "${MAGI_NODE:?}" "${MAGI_CLUSTER:?}" "${MAGI_VIP:?}" "${MAGI_INTERFACE:?}" "${MAGI_BOOT:?}"

log() {
	printf '%s\n' "$*" >&2
}

# Turns stdin into one line of printable ASCII: messages of other programs may hold any bytes.
clean() {
	tr '\n' ' ' | tr -cd '\040-\176' | cut -c 1-300 | sed 's/ *$//'
}

# put FILE <content: replaces FILE atomically; an unchanged file is not written.
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

# The IPv4 address of this node on the cluster's interface, without the virtual IP (VIP).
node_address() {
	ip -4 -o addr show dev "$MAGI_INTERFACE" scope global 2>/dev/null |
		awk -v vip="$MAGI_VIP" '{ sub("/.*", "", $4); if ($4 != vip) { print $4; exit } }'
}

# status_line PART N: prints line N of PART's status: 1 state, 2 detail, 3 since, 4 error.
status_line() {
	sed -n "$2p" "$MAGI_STATE/status.d/$1" 2>/dev/null
}

# status_set PART STATE DETAIL [ERROR]: sets the status of PART and writes the status files.
# STATE is `running` or `waiting` (in progress), `failing`, `done` or `up`. `since` changes only
# with state or detail, and unchanged files are not written. An error here never stops the caller.
# The lock is needed because first boot, k3s and keepalived set their status at the same time.
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

# The LED trigger for activity of the card: mmc1 for /dev/mmcblk1.
card_trigger() {
	card=$(findmnt --noheadings --output SOURCE "$MAGI_BOOT" 2>/dev/null | sed -n 's|^/dev/mmcblk\([0-9]*\)p.*|mmc\1|p')
	echo "${card:-mmc0}"
}

# Sets the activity LED: fast blinking if a part is failing, heartbeat if one is in progress, else card
# activity, or steady light where the kernel has no such trigger. Older kernels call the LED led0.
led_show() {
	case " $(sed -sn 1p "$MAGI_STATE"/status.d/* 2>/dev/null | tr '\n' ' ')" in
	*' failing '*) led_trigger=timer ;;
	*' running '* | *' waiting '*) led_trigger=heartbeat ;;
	*) led_trigger=$(card_trigger) ;;
	esac
	for led in "${MAGI_LEDS:-/sys/class/leds}"/ACT "${MAGI_LEDS:-/sys/class/leds}"/led0; do
		[ -w "$led/trigger" ] || continue
		! grep -qF "[$led_trigger]" "$led/trigger" || return 0
		# In Debian's kernel the triggers are modules, which are not loaded automatically.
		grep -qw -- "$led_trigger" "$led/trigger" || modprobe -q "ledtrig-$led_trigger" || :
		{ echo "$led_trigger" >"$led/trigger"; } 2>/dev/null || { echo default-on >"$led/trigger"; } 2>/dev/null || return 0
		# Only the timer trigger has these two files.
		if [ -w "$led/delay_on" ]; then
			echo 100 >"$led/delay_on"
			echo 100 >"$led/delay_off"
		fi
		return 0
	done
}

# note TEXT: called by a first-boot step to show its progress in the status. During a retry, the
# error of the last try stays in the status until the step has passed the point that failed.
note() {
	status_before=$(cat "$MAGI_RUN/now" 2>/dev/null)
	status_now=$(printf '%s: %s' "${MAGI_STEP-}" "$*" | clean)
	printf '%s\n' "$status_now" >"$MAGI_RUN/now"
	if [ "$(status_line firstboot 1)" != failing ] || [ "$status_before" = "$(status_line firstboot 2)" ]; then
		status_set firstboot running "$status_now"
	fi
	log "$*"
}

# Measured each time: on a full card no state could be stored.
card_is_full() {
	[ "$(df --output=avail "$MAGI_STATE" | tail -n 1)" -lt 1024 ]
}

# Writes the status files to the boot partition, where a PC with a card reader can read them.
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
