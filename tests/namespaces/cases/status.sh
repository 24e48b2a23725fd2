# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# What the status of a running node names.

case_refused_manifest_is_named() {
	card=dhcp
	start_cluster
	eventually 'the status names the manifest' status_says "$init_node" 'refused.yaml'
}

case_duplicate_vip_is_named() {
	local holder
	start_cluster
	eventually 'a node holds the VIP' vip_is_held
	holder=$(vip_holder)
	connect foreign
	link_up foreign "$vip"
	eventually "the status of $holder names the address" status_says "$holder" "duplicate address: $vip is also used by"
}

# Without fixed addresses VRRP is multicast: each machine hears each advert.
case_shared_vrrp_router_id_is_named_and_the_vip_still_moves() {
	local failed
	card=dhcp
	make_lan "${nodes[@]}"
	start_foreign_keepalived
	start_cluster
	eventually 'the status names the foreign machine' \
		status_says "$init_node" "router id 51 is also used by ${address[foreign]}"
	eventually 'a node holds the VIP' vip_is_held
	failed=$(vip_holder)
	power_cut "$failed"
	within 15 "the VIP moves away from $failed" vip_left "$failed"
}

# With our router id, an address and a password of its own, and a priority above ours.
start_foreign_keepalived() {
	local folder=$work/$lan/foreign foreign_vip=10.0.0.77
	mkdir -p "$folder"
	cat >"$folder/keepalived.conf" <<-END
		vrrp_instance other {
			state MASTER
			interface eth0
			virtual_router_id 51
			priority 250
			advert_int 1
			authentication {
				auth_type PASS
				auth_pass 1111
			}
			virtual_ipaddress {
				$foreign_vip/24
			}
		}
	END
	connect foreign
	link_up foreign
	spawn foreign keepalived --dont-fork --log-console --vrrp --use-file "$folder/keepalived.conf" \
		--pid "$folder/keepalived-pid" --vrrp_pid "$folder/vrrp-pid"
	eventually 'the foreign keepalived holds its address' has_address foreign "$foreign_vip"
}

has_address() {
	ip -n "$lan-$1" addr | grep "$2/"
}
