# shellcheck shell=bash
# The cards of the nodes, from images that the real binary builds; sourced by run. A kind of card is
#   fixed   with a fixed address for each node
#   cloud   the same, on the base of Debian's cloud team (netplan instead of ifupdown)
#   other   the same, with the secrets of another cluster
#   dhcp    without addresses, and with a manifest that k3s refuses

# make_cards KIND: root file systems of all nodes in $work/cards/KIND.
make_cards() {
	local kind=$1 folder=$work/builds/$1 name base=sample
	[ "$kind" != cloud ] || base=sample-b
	mkdir -p "$folder/profiles" "$work/cards/$kind"
	ln -s "$PWD/overlays" "$folder/overlays"
	cp "$here/refused.yaml" "$folder/profiles"
	write_profile "$kind" >"$folder/profiles/magi.toml"
	for name in "${nodes[@]}"; do
		extract "$folder/profiles/magi.toml" "$folder/images" "$name" / "$work/cards/$kind/$name"
	done
	rm -f "$folder/images"/*.img
}

write_profile() {
	local kind=$1 name
	cat <<-END
		[cluster]
		name = "magi"
		vip = "$vip"
		interface = "eth0"
	END
	[ "$kind" = dhcp ] || printf 'gateway = "%s"\ndns = ["%s"]\n' "$gateway" "$gateway"
	cat <<-END
		[base]
		image = "$base"
		[ssh]
		authorized_keys = []
		[overlays]
		use = ["common", "k3s", "vip"]
		[overlays.k3s]
		binary = "$k3s"
	END
	[ "$kind" != dhcp ] || echo 'manifests = ["refused.yaml"]'
	for name in "${nodes[@]}"; do
		printf '[[node]]\nname = "%s"\n' "$name"
		[ "$name" != "$init_node" ] || echo 'init = true'
		[ "$kind" = dhcp ] || echo "address = \"${address[$name]}/24\""
	done
}
