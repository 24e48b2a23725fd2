#!/usr/bin/env bats
# The first-boot engine: order, retries, power cuts, a full or missing file system.

load helpers

@test "steps run once, in the order of their names" {
	new_node
	set_addresses "$vip/32" "$caspar_ip/27"
	add_step 20-b <<<'echo b >>"$SCRATCH/ran"'
	add_step 10-a <<<'echo a >>"$SCRATCH/ran"'
	add_step 30-c <<<'echo c >>"$SCRATCH/ran"'
	run_firstboot
	assert_equal $'a\nb\nc' "$(cat "$SCRATCH/ran")"
	[ -e "$MAGI_STATE/firstboot/done" ]
	assert_status '^firstboot: done since'
	assert_status '^node:    caspar (cluster magi)$'
	assert_status "^address: $caspar_ip$"
}

@test "a second run executes no step and writes no status" {
	new_node
	add_step 10-a <<<'echo a >>"$SCRATCH/ran"'
	run_firstboot
	before=$(stat -c '%i %y' "$STATUS_TXT" "$STATUS_JSON")
	run_firstboot
	assert_equal a "$(cat "$SCRATCH/ran")"
	assert_equal "$before" "$(stat -c '%i %y' "$STATUS_TXT" "$STATUS_JSON")"
}

@test "a failing step is retried with growing pauses" {
	new_node
	add_step 10-a <<<'echo x >>"$SCRATCH/ran"; [ "$(wc -l <"$SCRATCH/ran")" -gt 8 ]'
	run_firstboot
	assert_equal '5 10 20 40 80 120 120 120' "$(pauses)"
}

@test "after a power cut first boot resumes at the interrupted step" {
	new_node
	add_step 10-a <<<'echo a >>"$SCRATCH/ran"'
	add_step 20-b <<<'echo b >>"$SCRATCH/ran"; [ -e "$SCRATCH/power-is-back" ] || /bin/sleep 30'
	add_step 30-c <<<'echo c >>"$SCRATCH/ran"'
	start_firstboot
	wait_until grep -qs b "$SCRATCH/ran"
	cut_power
	[ ! -e "$MAGI_STATE/firstboot/20-b.done" ]
	: >"$SCRATCH/power-is-back"
	run_firstboot
	assert_equal 'a b b c' "$(xargs <"$SCRATCH/ran")"
}

@test "first boot completes despite power cuts at random moments" {
	new_node
	for number in 10 20 30 40; do
		add_step "$number-x" <<<"/bin/sleep 0.0\$((\$\$ % 9)); echo $number >>\"\$SCRATCH/ran\""
	done
	for _ in $(seq 12); do
		start_firstboot
		sleep "0.0$((RANDOM % 90 + 10))"
		cut_power
	done
	run_firstboot
	assert_equal '10 20 30 40' "$(uniq "$SCRATCH/ran" | xargs)"
	"$python" -m json.tool "$STATUS_JSON" >/dev/null
	assert_status '^firstboot: done'
}

@test "first boot completes without a FAT partition to write the status to" {
	new_node
	rmdir "$node/boot"
	add_step 10-a <<<'true'
	run_firstboot
	[ -e "$MAGI_STATE/firstboot/done" ]
}

@test "a full root file system is reported and first boot waits for space" {
	new_node
	add_step 10-a <<<'echo filled >>"$MAGI_STATE/file" && echo a >>"$SCRATCH/ran"'
	fake sleep <<-'END'
		cp "$STATUS_TXT" "$SCRATCH/status-on-failure"
		rm -f "$MAGI_STATE/filler"
	END
	on_node unshare -rm sh -c 'mount -t tmpfs -o size=4m none "$MAGI_STATE" &&
		cat /dev/zero >"$MAGI_STATE/filler" 2>/dev/null; sh "$MAGI_LIB/firstboot" && ls -R "$MAGI_STATE"' \
		</dev/null >"$SCRATCH/journal" 2>&1 || fail "$(cat "$SCRATCH/journal")"
	assert_file_contains "$SCRATCH/status-on-failure" 'error:   the root file system is full'
	assert_equal a "$(cat "$SCRATCH/ran")"
	assert_file_contains "$SCRATCH/journal" '^done$'
	refute_status full
}
