# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Three nodes start together, from the base image without prepared packages.
images_for[together]=plain-dhcp

scenario_together() {
	local start name
	need "credentials are in the image" take_credentials plain-dhcp || return
	start=$(now)
	start_cluster plain-dhcp || return
	record_time "first answer of the VIP" "$(probe_report first-answer "$start")"
	for name in "${nodes[@]}"; do
		expect "$name is complete, docker answers" within 120 is_complete "$name"
		expect "$name: status" within 120 status_says "$name" "node: +$name .*firstboot: done.*k3s: up"
	done
	expect "the kubeconfig of \`magi-image kubeconfig\` works" kubeconfig_works
	check_vip "$start"
	running_kind=''
	for name in "${nodes[@]}"; do
		expect "$name: powers off" power_off "$name"
		expect "$name: the card's status says that it was up" fat_says_done "$name"
		expect "$name: both file systems are sound" disk_is_sound "$name"
	done
}

kubeconfig_works() {
	"$bin" kubeconfig --profile "$work/images/plain-dhcp/profile.toml" --secrets "$work/secrets.toml" >"$work/laptop/kubeconfig" &&
		"${inside[@]}" "$here/with-kubeconfig" "$work/laptop/kubeconfig" /api/v1/nodes | grep -q caspar
}
