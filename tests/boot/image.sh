# The image that the boot test boots; sourced by run, after lib.sh.
# shellcheck shell=bash disable=SC2154

# A user's overlay, beside the profile: sets the NTP server.
write_clock_overlay() {
	local overlay=$work/overlays/test-clock
	mkdir -p "$overlay/files/etc/systemd/timesyncd.conf.d"
	printf 'summary = "Takes the time from the machine that runs the test."\n' >"$overlay/overlay.toml"
	printf '[Time]\nNTP=10.0.2.2\n' >"$overlay/files/etc/systemd/timesyncd.conf.d/10-test.conf"
}

# lines_if OPTION LINE…: these lines of the profile, if OPTION isn't empty.
lines_if() {
	[ -z "$1" ] || printf '%s\n' "${@:2}"
}

write_profile() {
	local base=$1
	"$repo/tests/cluster/make-k3s-stand-in" "$work/k3s"
	ssh-keygen -q -t ed25519 -N '' -C 'the first # of two' -f "$work/first"
	ssh-keygen -q -t ed25519 -N '' -C 'the second' -f "$work/second"
	cat >"$work/profile.toml" <<-END
		[cluster]
		name = "magi"
		vip = "$vip"
		interface = "eth0"
		$(lines_if "$fixed" 'gateway = "10.0.2.2"' 'dns = ["10.0.2.3"]')

		[base]
		image = "$base"
		sha256 = "$(sha256sum "$base" | cut -d' ' -f1)"
		$(lines_if "$mbr" 'table = "mbr"')

		$(lines_if "$data" '[image]' 'size = "6GiB"' 'extra_partition = { size = "1GiB", mount = "/var/lib/data", filesystem = "ext4" }')

		[ssh]
		authorized_keys = ["$work/first.pub", "$work/second.pub"]

		[overlays]
		use = ["common", "docker", "k3s", "vip", "ingress", "firewall", "test-clock"]

		[overlays.docker]
		source = "debian"

		[overlays.k3s]
		binary = "$work/k3s"
		$(lines_if "$data" 'data_dir_on = "data"')

		[[node]]
		name = "$node"
		init = true
		$(lines_if "$fixed" "address = \"$address/24\"")

		[[node]]
		name = "balthazar"
		$(lines_if "$fixed" 'address = "10.0.2.51/24"')

		[[node]]
		name = "caspar"
		$(lines_if "$fixed" 'address = "10.0.2.52/24"')
	END
}

build_image() {
	"$bin" build --node "$node" --profile "$work/profile.toml" \
		--out-dir "$work/out" --cache-dir "$work/cache" && [ -s "$image" ]
}
