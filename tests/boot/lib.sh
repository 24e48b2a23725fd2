# What the boot test and the cluster test share: checks, a guest in QEMU from an image file, and ssh into it. Sourced
# by their `run`, which sets test (its name), repo, work (a folder) and key (a private ssh key), and may set inside
# (a prefix for each command that needs the guests' network).
# shellcheck shell=bash disable=SC2154

inside=()

say() { echo "$test: $*" >&2; }

binary() {
	if [ -n "${MAGI_IMAGE_BIN:-}" ]; then realpath -- "$MAGI_IMAGE_BIN"; return; fi
	cargo build --release --locked --manifest-path "$repo/Cargo.toml" >&2
	echo "${CARGO_TARGET_DIR:-$repo/target}/release/magi-image"
}

# check NAME COMMAND…: counts, and shows the output of a command that fails.
passed=0 failed=0
check() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "ok - $name"
	else
		failed=$((failed + 1))
		echo "not ok - $name"
		printf '%s\n' "$said" | sed 's/^/  # /'
	fi
}

finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# partition IMAGE TYPE FIELD: a number of the first partition of that MBR type, c (boot) or 83 (root). In a GPT, that of
# the same purpose: family B has both, and Linux reads the GPT only.
partition() {
	local type=$2
	case $type in
	c) type='(c|C12A7328-F81F-11D2-BA4B-00A0C93EC93B)' ;;
	83) type='(83|B921B045-1DF0-41C3-AF44-4C6F280D3FAE)' ;;
	esac
	sfdisk --dump "$1" | sed -nE "/type=$type(,|\$)/s/.*$3= *([0-9]+),.*/\1/p" | head -n 1
}

# part_start IMAGE TYPE, part_size IMAGE TYPE: in sectors.
part_start() { partition "$1" "$2" start; }
part_size() { partition "$1" "$2" size; }

# fat_of IMAGE: the boot partition in the syntax of mtools.
fat_of() { echo "$1@@$(($(part_start "$1" c) * 512))"; }

# root_of IMAGE: the root partition in the syntax of e2fsprogs.
root_of() { echo "$1?offset=$(($(part_start "$1" 83) * 512))"; }

# boot_files IMAGE DIR: kernel, initrd and kernel command line from the image's FAT, by Debian's names or those of
# Raspberry Pi OS. Adds a console that QEMU has, and a limit for slow machines: when the FAT's device doesn't appear
# within the usual 90 s, the boot ends in emergency mode.
boot_files() {
	local fat
	fat=$(fat_of "$1")
	if mdir -b -i "$fat" ::kernel8.img >/dev/null 2>&1; then
		mcopy -n -o -i "$fat" ::kernel8.img "$2/vmlinuz"
		mcopy -n -o -i "$fat" ::initramfs8 "$2/initrd.img"
	else
		mcopy -n -o -i "$fat" "::vmlinuz-*" "$2/vmlinuz"
		mcopy -n -o -i "$fat" "::initrd.img-*" "$2/initrd.img"
	fi
	echo "$(mtype -i "$fat" ::cmdline.txt | tr -d '\r\n') console=ttyAMA0 systemd.default_device_timeout_sec=900" >"$2/cmdline"
}

# run_qemu DIR DRIVE OPTION…: with the files of boot_files in DIR. The clock is wrong, since a Pi has none that
# survives a power cut. The caller defines drive d and netdev n; without romfile= its network device would need the
# boot ROM of the package ipxe-qemu. Sets qemu_pid.
run_qemu() {
	local dir=$1 drive=$2
	shift 2
	"${inside[@]}" qemu-system-aarch64 -M virt -cpu cortex-a72 \
		-kernel "$dir/vmlinuz" -initrd "$dir/initrd.img" -append "$(cat "$dir/cmdline")" \
		-drive "if=none,id=d,cache=unsafe,$drive" -device virtio-blk-pci,drive=d \
		-device virtio-rng-pci -rtc base=2023-11-09T00:00:00 \
		-display none -monitor none "$@" </dev/null >>"$dir/qemu.log" 2>&1 &
	qemu_pid=$!
}

# start_guest IMAGE: the guest's NTP requests to 10.0.2.2 reach this machine's loopback. The caller sets address (the
# guest's, as 10.0.2.15 by QEMU's DHCP server) and may set user_network (more options of QEMU's user network).
start_guest() {
	ssh_port=$(free_port)
	run_qemu "$work" "format=raw,file=$1" -smp 2 -m 2048 \
		-netdev "user,id=n${user_network:-},hostfwd=tcp:127.0.0.1:$ssh_port-$address:22" \
		-device virtio-net-pci,netdev=n,romfile= \
		-object "filter-dump,id=f,netdev=n,file=$work/net.pcap,maxlen=600" \
		-serial "file:$work/serial.log"
}

stop_guest() {
	# 0, since a bare return in an exit trap returns the status from before the trap.
	if [ -z "${qemu_pid:-}" ]; then return 0; fi
	kill "$qemu_pid" 2>/dev/null || true
	wait "$qemu_pid" 2>/dev/null || true
	qemu_pid=''
}

# root_at HOST PORT COMMAND…: as root, over ssh; KEY is another private key.
root_at() {
	local host=$1 port=$2
	shift 2
	timeout 300 "${inside[@]}" ssh -i "${KEY:-$key}" -p "$port" -o BatchMode=yes -o IdentitiesOnly=yes \
		-o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=8 -o LogLevel=ERROR \
		-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -F none "root@$host" "$@" </dev/null
}

guest() { root_at 127.0.0.1 "$ssh_port" "$@"; }

# wait_until SECONDS COMMAND…: tries every $every seconds; fails at once when QEMU has ended.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$qemu_pid" 2>/dev/null; then return 1; fi
		sleep "${every:-3}"
	done
}
