# What the boot test checks of the guest's network, by DHCP or with --fixed; sourced by run, after lib.sh.
# shellcheck shell=bash disable=SC2154,SC2016

network_checks() {
	local name=${when:-}
	check "${name}the address is $address, of its own network" guest_prints "$address/24" \
		"ip -4 -o address show dev eth0 scope global | grep -o '[0-9.]*/[0-9]*' | grep -v '^$vip/'"
	check "${name}the default route is the gateway's" guest_prints 'default via 10.0.2.2 dev eth0' \
		'ip -4 route show default | cut -d" " -f1-5'
	check "${name}names are resolved" guest 'getent ahostsv4 deb.debian.org'
	if [ -n "$fixed" ]; then
		check "${name}the address has no lease" guest '! ip -4 address show dev eth0 | grep dynamic'
		check "${name}the name server is the profile's" guest \
			'{ resolvectl dns eth0 2>/dev/null; cat /etc/resolv.conf; } | grep -qw 10.0.2.3'
		check "${name}no DHCP request was sent" no_dhcp_request
	else
		check "${name}the first DHCP request carried the name" first_dhcp_name
	fi
}

first_dhcp_name() {
	local name
	name=$("$here/dhcp-names" "$work/net.pcap" | head -n 1)
	[ "$name" = "$node" ] || { echo "the first request has the name: $name"; return 1; }
}

no_dhcp_request() {
	[ -z "$("$here/dhcp-names" "$work/net.pcap")" ]
}
