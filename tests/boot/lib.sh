# Shell for the boot test: a guest in QEMU, made from an image file, and ssh into it.
# Sourced by tests/boot/run, which sets work (a folder) and key (a private ssh key).
# shellcheck shell=bash disable=SC2154

say() { echo "boot-test: $*" >&2; }

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# part_start IMAGE TYPE: first sector of the first partition of that type, as an MBR has it.
part_start() {
	sfdisk --dump "$1" | sed -n "s/.*start= *\([0-9]*\),.*type=$2\b.*/\1/p" | head -n 1
}

part_size() {
	sfdisk --dump "$1" | sed -n "s/.*size= *\([0-9]*\),.*type=$2\b.*/\1/p" | head -n 1
}

# fat_of IMAGE: the boot partition as mtools want it named.
fat_of() { echo "$1@@$(($(part_start "$1" c) * 512))"; }

# boot_files IMAGE: kernel, initrd and kernel words from the image's own FAT. What
# the test adds is a console that this machine has.
boot_files() {
	local fat name
	fat=$(fat_of "$1")
	for name in vmlinuz initrd.img; do
		mcopy -n -o -i "$fat" "::$name-*" "$work/$name"
	done
	echo "$(mtype -i "$fat" ::cmdline.txt | tr -d '\r\n') console=ttyAMA0" >"$work/cmdline"
}

# start_guest IMAGE [FORWARD]: a Pi has no clock, so the guest's stands at a day long
# past; its NTP requests to 10.0.2.2 reach this machine's loopback. FORWARD goes on the
# network's options.
start_guest() {
	ssh_port=$(free_port)
	qemu-system-aarch64 -M virt -cpu cortex-a72 -smp 2 -m 2048 \
		-kernel "$work/vmlinuz" -initrd "$work/initrd.img" -append "$(cat "$work/cmdline")" \
		-drive "if=none,file=$1,format=raw,id=d,cache=unsafe" -device virtio-blk-pci,drive=d \
		-netdev "user,id=n,hostfwd=tcp:127.0.0.1:$ssh_port-:22${2:+,$2}" \
		-device virtio-net-pci,netdev=n \
		-object "filter-dump,id=f,netdev=n,file=$work/net.pcap,maxlen=600" \
		-device virtio-rng-pci -rtc base=2023-11-09T00:00:00 \
		-display none -monitor none -serial "file:$work/serial.log" \
		</dev/null >"$work/qemu.log" 2>&1 &
	qemu_pid=$!
}

stop_guest() {
	# 0, as a bare return in an exit trap gives the status from before the trap.
	if [ -z "${qemu_pid:-}" ]; then return 0; fi
	kill "$qemu_pid" 2>/dev/null || true
	wait "$qemu_pid" 2>/dev/null || true
	qemu_pid=''
}

# guest COMMAND…: a root shell's answer; KEY=… chooses another key.
guest() {
	timeout 300 ssh -i "${KEY:-$key}" -p "$ssh_port" -o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=10 \
		-o ServerAliveInterval=15 -o ServerAliveCountMax=8 -o LogLevel=ERROR \
		-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -F none root@127.0.0.1 "$@" </dev/null
}

# wait_until SECONDS COMMAND…: asks every $every seconds; ends early when QEMU has ended.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$qemu_pid" 2>/dev/null; then return 1; fi
		sleep "${every:-3}"
	done
}
