#!/usr/bin/env bats
# The status files on the FAT partition, `magi-status` and the activity LED.

load helpers

# set_status PART STATE DETAIL [ERROR]
set_status() {
	on_node sh -c '. "$MAGI_LIB/lib.sh"; status_set "$@"' - "$@"
}

magi_status() {
	on_node sh overlays/firstboot/files/usr/local/bin/magi-status "$@"
}

@test "the status shows a step's error until the step succeeds" {
	new_node
	add_step 10-a <<-'END'
		if [ -e "$SCRATCH/repaired" ]; then cp "$STATUS_TXT" "$SCRATCH/status-on-retry"; exit; fi
		echo verbose output
		echo 'E: the archive is down' >&2
		echo 'E: Some index files failed to download.' >&2
		echo
		exit 1
	END
	save_status_on_failure
	run_firstboot
	for status in "$SCRATCH/status-on-failure" "$SCRATCH/status-on-retry"; do
		assert_file_contains "$status" '^firstboot: failing since 20'
		assert_file_contains "$status" '^  step 1 of 1, 10-a$'
		assert_file_contains "$status" '^  error: E: the archive is down$'
	done
	refute_status error:
}

@test "an error that repeats is written once" {
	new_node
	add_step 10-a <<<'echo broken; echo x >>"$SCRATCH/ran"; [ "$(wc -l <"$SCRATCH/ran")" -gt 4 ]'
	fake sleep <<<'stat -c %i "$STATUS_TXT" >>"$SCRATCH/inodes"'
	run_firstboot
	assert_equal 4 "$(wc -l <"$SCRATCH/inodes")"
	assert_equal 1 "$(sort -u "$SCRATCH/inodes" | wc -l)"
}

@test "a retry keeps the last error until it is past the point that failed" {
	new_node
	add_step 10-a <<-'END'
		. "$MAGI_LIB/lib.sh"
		note first
		sed -n '/error/p' "$STATUS_TXT" >>"$SCRATCH/errors"
		note second
		if [ ! -e "$SCRATCH/repaired" ]; then echo oops; : >"$SCRATCH/repaired"; exit 1; fi
		note third
		sed -n '/error/p' "$STATUS_TXT" >>"$SCRATCH/errors"
		grep -q 'step 1 of 1, 10-a: third' "$STATUS_TXT"
	END
	run_firstboot
	assert_equal '  error: oops' "$(cat "$SCRATCH/errors")"
}

@test "the error of a failing step outlives a power cut" {
	new_node
	add_step 10-a <<-'END'
		if [ -e "$SCRATCH/repaired" ]; then cp "$STATUS_TXT" "$SCRATCH/status-on-retry"; exit; fi
		echo broken
		exit 1
	END
	fake sleep <<<'exec /bin/sleep 30'
	start_firstboot
	wait_until grep -qs '^  error: broken$' "$STATUS_TXT"
	cut_power
	: >"$SCRATCH/repaired"
	run_firstboot
	assert_file_contains "$SCRATCH/status-on-retry" '^firstboot: failing since'
	assert_file_contains "$SCRATCH/status-on-retry" '^  error: broken$'
}

@test "control characters and shell syntax in an error do no harm" {
	new_node
	add_step 10-a <<-'END'
		[ ! -e "$SCRATCH/repaired" ] || exit 0
		printf 'E: "quoted" back\\slash \033[31mred\007 caf\303\251 $(reboot) %%s `x`\r\n'
		exit 1
	END
	fake sleep <<<'cp "$STATUS_JSON" "$SCRATCH/status.json"; : >"$SCRATCH/repaired"'
	run_firstboot
	assert_equal 'E: "quoted" back\slash [31mred caf $(reboot) %s `x`' "$(jq -r .parts.firstboot.error "$SCRATCH/status.json")"
}

@test "magi-status prints what the status files hold" {
	new_node
	add_step 10-a <<<'true'
	run_firstboot
	assert_equal "$(cat "$STATUS_TXT")" "$(magi_status)"
	assert_equal "$(cat "$STATUS_JSON")" "$(magi_status --json)"
}

@test "concurrent status updates are all kept" {
	new_node
	# As on a slow card: without a lock the updates would overlap.
	fake sync <<<'exec /bin/sleep 0.01'
	for part in a b c d e f; do
		for n in 1 2 3; do set_status "$part" up "update $n"; done 3>&- &
	done
	wait
	assert_equal 6 "$(grep -c '^  update 3$' "$STATUS_TXT")"
}

@test "the LED tells failure, progress and success apart" {
	new_node
	mkdir -p "$MAGI_LEDS/ACT"
	while read -r part state trigger; do
		echo 'none [default-on]' >"$MAGI_LEDS/ACT/trigger"
		set_status "$part" "$state" detail </dev/null
		assert_equal "$part $state: $trigger" "$part $state: $(cat "$MAGI_LEDS/ACT/trigger")"
	done <<-'END'
		firstboot running heartbeat
		firstboot failing timer
		k3s waiting timer
		firstboot done heartbeat
		k3s up mmc0
	END
	assert_file_contains "$CALLS" '^modprobe -q ledtrig-timer$'
}

@test "the LED flickers with the card that the node runs from" {
	new_node
	mkdir -p "$MAGI_LEDS/ACT"
	fake findmnt <<<'echo /dev/mmcblk1p1'
	echo 'none [default-on] mmc1' >"$MAGI_LEDS/ACT/trigger"
	set_status k3s up detail
	assert_equal mmc1 "$(cat "$MAGI_LEDS/ACT/trigger")"
	refute_file_contains "$CALLS" modprobe
}
