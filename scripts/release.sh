# shellcheck shell=bash
# When and as what the sources are released: functions, to be sourced in the project's folder.

# Seconds since 1970: of the last commit, or without git of the changelog.
release_time() { git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s; }

# The newest release in CHANGELOG.md; what came after it is told by its time.
release_version() {
	local top release commit
	top=$(sed -n 's/^## *//p' CHANGELOG.md | head -n 1)
	release=$(sed -n 's/^## *\([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
	commit=$(git log -1 --abbrev=10 --format=.%h 2>/dev/null || true)
	if [[ $top == [0-9]* ]]; then
		echo "$release"
	else
		echo "${release:-0}+git$(date -u -d "@$(release_time)" +%Y%m%d%H%M%S)$commit"
	fi
}
