# The nodes' images, built by the real binary. Sourced by run, which sets work, bin, boot, here and key, after
# network.sh.
# shellcheck shell=bash disable=SC2154

# A kind of image is BASE-ADDRESSES: plain or prepared, dhcp or fixed. All kinds are of one cluster, with one set
# of secrets.
image_of() { echo "$work/images/$1/magi-$2.img"; }

k3s_binary() {
	[ -n "${MAGI_TEST_K3S-}" ] || [ -e "$work/k3s" ] || "$here/make-k3s-stand-in" "$work/k3s"
	realpath -- "${MAGI_TEST_K3S:-$work/k3s}"
}

# build_images KIND: for all nodes, once.
build_images() {
	local kind=$1 dir=$work/images/$1
	if [ -e "$dir/built" ]; then return 0; fi
	mkdir -p "$dir"
	write_profile "$kind" "$dir/profile.toml" || return
	[ -e "$work/secrets.toml" ] || "$bin" init --quiet --secrets "$work/secrets.toml" "$work/init" >/dev/null || return
	"$bin" build --all --quiet --profile "$dir/profile.toml" --secrets "$work/secrets.toml" \
		--out-dir "$dir" --cache-dir "$work/cache" >/dev/null && touch "$dir/built"
}

base_for() {
	local packages
	if [[ $1 = plain-* ]]; then
		"$boot/make-base" | tail -n 1
		return
	fi
	mapfile -t packages < <(first_boot_packages)
	"$here/make-prepared-base" "${packages[@]}"
}

# The packages that first boot installs, as an image of the plain base lists them.
first_boot_packages() {
	build_images plain-dhcp
	file_in_image "$(image_of plain-dhcp melchior)" /etc/magi/packages | cut -d' ' -f2- | tr ' ' '\n' | sort
}

# file_in_image IMAGE FILE: from the root file system.
file_in_image() {
	debugfs -R "cat $2" "$1?offset=$(($(part_start "$1" 83) * 512))" 2>/dev/null
}

write_profile() {
	local kind=$1 file=$2 base
	base=$(base_for "$kind") || return
	[ -e "$key" ] || ssh-keygen -q -t ed25519 -N '' -C cluster-test -f "$key"
	cat >"$file" <<-END
		[cluster]
		name = "magi"
		vip = "$vip"
		interface = "eth0"
		gateway = "$router"
		dns = ["$router"]

		[base]
		image = "$base"
		sha256 = "$(cut -d' ' -f1 "$base.sha256")"

		[ssh]
		authorized_keys = ["$key.pub"]

		[overlays]
		use = ["common", "docker", "k3s", "vip", "ingress", "firewall"]

		[overlays.docker]
		source = "debian"

		[overlays.k3s]
		binary = "$(k3s_binary)"
	END
	local name
	for name in "${nodes[@]}"; do
		printf '\n[[node]]\nname = "%s"\n' "$name"
		if [ "$name" = melchior ]; then echo 'init = true'; fi
		case $kind in *-fixed) echo "address = \"$(fixed_address "$name")/24\"" ;; esac
	done >>"$file"
}
