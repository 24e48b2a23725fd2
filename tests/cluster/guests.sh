# The guests of the cluster test. Each is a card, which is a disk image, in a Pi, which is a QEMU process. Sourced
# by run, which sets work, after boot/lib.sh.
# shellcheck shell=bash disable=SC2154,SC2034

nodes=(melchior balthazar caspar)
declare -A pids=() powered_on=() kinds=()
memory=${MAGI_TEST_MEMORY:-768}

# `duplicate` is another Pi, for the image of a node.
mac_of() {
	case $1 in
	melchior) echo 52:54:00:77:00:01 ;;
	balthazar) echo 52:54:00:77:00:02 ;;
	caspar) echo 52:54:00:77:00:03 ;;
	duplicate) echo 52:54:00:77:01:01 ;;
	esac
}

fixed_address() {
	case $1 in
	melchior) echo 10.77.0.11 ;;
	balthazar) echo 10.77.0.12 ;;
	caspar) echo 10.77.0.13 ;;
	esac
}

# address GUEST: from its image, or from DHCP; nothing before DHCP gave one.
address() {
	case ${kinds[$1]} in
	*-fixed) fixed_address "$1" ;;
	*) awk -v mac="$(mac_of "$1")" '$2 == mac { print $3 }' "$work/leases" ;;
	esac
}

# flash GUEST KIND [NODE]: a new card with the image of NODE (by default of the same name). As a QEMU overlay on
# the image, so nothing is copied.
flash() {
	local dir=$work/guests/$1 image
	image=$(image_of "$2" "${3:-$1}")
	mkdir -p "$dir"
	qemu-img create -q -f qcow2 -b "$image" -F raw "$dir/card.qcow2" 8G
	boot_files "$image" "$dir"
	# With three emulated guests on a busy machine a disk may take longer than systemd waits.
	sed -i 's/$/ systemd.default_device_timeout_sec=900/' "$dir/cmdline"
	kinds[$1]=$2
}

# A power cut must lose what the guest has not flushed. Killing QEMU loses it where QEMU had to allocate a cluster
# of the qcow2 file, since it keeps the map in memory until the flush. After a snapshot, which is taken at each
# start, that is each cluster that the guest has not written since.
power_on() {
	local dir=$work/guests/$1
	qemu-img snapshot -d start "$dir/card.qcow2" >/dev/null 2>&1 || true
	qemu-img snapshot -c start "$dir/card.qcow2"
	run_qemu "$dir" "format=qcow2,file=$dir/card.qcow2" -smp 1 -m "$memory" \
		-accel tcg,thread=multi,tb-size=192 \
		-netdev "socket,id=n,mcast=$multicast_group,localaddr=127.0.0.1" \
		-device "virtio-net-pci,netdev=n,romfile=,mac=$(mac_of "$1")" \
		-chardev "file,id=s,append=on,path=$dir/serial.log" -serial chardev:s
	pids[$1]=$qemu_pid
	powered_on[$1]=$(now)
}

is_on() { [ -n "${pids[$1]:-}" ] && kill -0 "${pids[$1]}" 2>/dev/null; }

power_cut() {
	if [ -z "${pids[$1]:-}" ]; then return 0; fi
	kill -KILL "${pids[$1]}" 2>/dev/null || true
	wait "${pids[$1]}" 2>/dev/null || true
	pids[$1]=''
}

power_cut_all() {
	local name
	for name in "${!pids[@]}"; do power_cut "$name"; done
}

is_off() { ! is_on "$1"; }

# By a command to the guest, so that its file systems are cleanly unmounted.
power_off() {
	on "$1" systemctl poweroff || true
	within 240 is_off "$1" || return
	power_cut "$1"
}

# on GUEST COMMAND…: as root, over ssh.
on() {
	local name=$1 host
	shift
	host=$(address "$name")
	[ -n "$host" ] && root_at "$host" 22 "$@"
}

# Milliseconds.
now() { echo $((${EPOCHREALTIME/./} / 1000)); }

# age GUEST: seconds since it was switched on.
age() { seconds_since "${powered_on[$1]}"; }

seconds_since() {
	local tenths=$((($(now) - $1) / 100))
	echo "$((tenths / 10)).$((tenths % 10))"
}

# within SECONDS COMMAND…: tries every ${every:-3} seconds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then return 1; fi
		sleep "${every:-3}"
	done
}

# raw_card GUEST FILE: the card's content as a raw image.
raw_card() { qemu-img convert -f qcow2 -O raw "$work/guests/$1/card.qcow2" "$2"; }

# file_on_fat GUEST FILE: while the guest is off.
file_on_fat() {
	raw_card "$1" "$work/card.raw"
	mtype -i "$(fat_of "$work/card.raw")" "::$2"
	rm "$work/card.raw"
}
