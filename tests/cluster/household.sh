# Shell for the cluster test: the household, a network namespace with a LAN that the
# guests are on, DHCP, DNS, a clock and Debian's archive. Sourced by run, which sets
# here, work and cache. From inside the namespace the test is the user's laptop.
# shellcheck shell=bash disable=SC2154,SC2034

net=magi-test-$$
lan=lan0
router=10.77.0.1
vip=10.77.0.100
group=230.77.0.1:7700
# Words before a command that is to run in the household.
inside=(ip netns exec "$net")
lan_pid='' ntp_pid='' dnsmasq_pid='' archive_pid='' prober_pid=''

# The route makes the guests' multicast stay on the namespace's own lo.
open_household() {
	ip netns add "$net"
	"${inside[@]}" ip link set lo up multicast on
	"${inside[@]}" ip route add 224.0.0.0/4 dev lo
	"${inside[@]}" ip tuntap add dev "$lan" mode tap
	"${inside[@]}" "$here/lan" "$lan" "$group" &
	lan_pid=$!
	"${inside[@]}" ip address add "$router/24" dev "$lan"
	"${inside[@]}" ip link set "$lan" up
	"${inside[@]}" "$boot/ntp-server" 123 "$router" &
	ntp_pid=$!
	start_dnsmasq
	open_archive
}

# Everything that a guest may ask for by name is this machine.
start_dnsmasq() {
	: >"$work/leases"
	"${inside[@]}" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --interface="$lan" --bind-interfaces --log-facility="$work/dnsmasq.log" \
		--dhcp-range=10.77.0.50,10.77.0.99,1h --dhcp-leasefile="$work/leases" --dhcp-authoritative --dhcp-ignore-clid \
		--address="/deb.debian.org/security.debian.org/pool.ntp.org/$router" &
	dnsmasq_pid=$!
}

# As a router that was switched off and on; the guests get other addresses or the same.
forget_leases() {
	end dnsmasq_pid
	start_dnsmasq
}

open_archive() {
	"$here/archive" "$net" "$router:80" "$cache/archive" 2>>"$work/archive.log" &
	archive_pid=$!
}

close_archive() { end archive_pid; }

# end VARIABLE: the process whose id VARIABLE holds, if it does.
end() {
	if [ -z "${!1}" ]; then return 0; fi
	kill "${!1}" 2>/dev/null || true
	wait "${!1}" 2>/dev/null || true
	printf -v "$1" ''
}

close_household() {
	local of
	for of in prober_pid archive_pid dnsmasq_pid ntp_pid lan_pid; do end "$of"; done
	ip netns del "$net" 2>/dev/null || true
}
