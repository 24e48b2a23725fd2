# The network of the cluster test: a network namespace with the guests' LAN, DHCP, DNS, NTP and Debian's
# archive. Inside the namespace the test is a laptop on that LAN. Sourced by run, which sets here, boot,
# work and cache.
# shellcheck shell=bash disable=SC2154,SC2034

net=magi-test-$$
lan=lan0
router=10.77.0.1
vip=10.77.0.100
multicast_group=230.77.0.1:7700
# Before a command that is to run in the namespace.
inside=(ip netns exec "$net")
lan_pid='' ntp_pid='' dnsmasq_pid='' archive_pid='' prober_pid=''

# With the route the guests' multicast stays on the namespace's lo.
start_network() {
	ip netns add "$net"
	"${inside[@]}" ip link set lo up multicast on
	"${inside[@]}" ip route add 224.0.0.0/4 dev lo
	"${inside[@]}" ip tuntap add dev "$lan" mode tap
	"${inside[@]}" "$here/lan" "$lan" "$multicast_group" &
	lan_pid=$!
	"${inside[@]}" ip address add "$router/24" dev "$lan"
	"${inside[@]}" ip link set "$lan" up
	"${inside[@]}" "$boot/ntp-server" 123 "$router" &
	ntp_pid=$!
	start_dnsmasq
	start_archive
}

# Each name that a guest may ask for is this machine.
start_dnsmasq() {
	: >"$work/leases"
	"${inside[@]}" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --interface="$lan" --bind-interfaces --log-facility="$work/dnsmasq.log" \
		--dhcp-range=10.77.0.50,10.77.0.99,1h --dhcp-leasefile="$work/leases" --dhcp-authoritative --dhcp-ignore-clid \
		--address="/deb.debian.org/security.debian.org/pool.ntp.org/$router" &
	dnsmasq_pid=$!
}

start_archive() {
	"$here/archive" "$net" "$router:80" "$cache/archive" 2>>"$work/archive.log" &
	archive_pid=$!
}

stop_archive() { end archive_pid; }

# end VARIABLE: the process whose id is in VARIABLE, if there is one.
end() {
	if [ -z "${!1}" ]; then return 0; fi
	kill "${!1}" 2>/dev/null || true
	wait "${!1}" 2>/dev/null || true
	printf -v "$1" ''
}

stop_network() {
	local variable
	for variable in prober_pid archive_pid dnsmasq_pid ntp_pid lan_pid; do end "$variable"; done
	ip netns del "$net" 2>/dev/null || true
}
