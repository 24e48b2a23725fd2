# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Two Pis with cards of the same node, and another machine with the VIP.
images_for[duplicates]=prepared-dhcp

scenario_duplicates() {
	need "credentials are in the image" take_credentials prepared-dhcp || return
	start_cluster prepared-dhcp || return
	duplicate_node || return
	reset_network
	duplicate_vip
}

duplicate_node() {
	local id member start
	ask_repeatedly cluster_id && id=$answer
	ask_repeatedly member_of caspar && member=$answer
	start=$(now)
	start duplicate prepared-dhcp caspar
	first_boot duplicate || return
	need "duplicate node: it reports that it waits" within 300 status_says duplicate "k3s: waiting.*another caspar is running at" || return
	record_time "duplicate node: it reports the other" "$(age duplicate)"
	sleep 60
	expect "duplicate node: the cluster is unharmed" cluster_of_three
	expect "duplicate node: the same cluster" is_unchanged "$id" cluster_id
	expect "duplicate node: caspar is the same member" is_unchanged "$member" member_of caspar
	expect "duplicate node: it has no etcd data" lacks_etcd_data duplicate
	check_vip "$start"
	power_cut duplicate
	running_kind=''
}

duplicate_vip() {
	"${inside[@]}" ip address add "$vip/32" dev "$lan"
	start melchior prepared-dhcp
	first_boot melchior || return
	need "duplicate VIP: melchior reports that it waits" within 300 status_says melchior "k3s: waiting.*duplicate address: .* is already used by" || return
	record_time "duplicate VIP: melchior reports it" "$(age melchior)"
	sleep 60
	expect "duplicate VIP: melchior has no etcd data" lacks_etcd_data melchior
	expect "duplicate VIP: melchior doesn't claim it" on melchior "! ip -4 address show dev eth0 | grep -qw $vip"
	"${inside[@]}" ip address del "$vip/32" dev "$lan"
	need "duplicate VIP: melchior creates the cluster once the VIP is free" within "$cluster_limit" own_api_is_ready melchior || return
	record_time "the cluster is created, after the VIP was free again" "$(age melchior)"
}
