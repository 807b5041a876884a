# Shared by the scripts; sourced, with `me` (the script's name, for its messages) and `root` (the
# project's folder) set.
# shellcheck shell=bash disable=SC2154

# Downloads are kept for all clones of a user; where he has no such place, in this one.
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/provium
if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
	cache=$root/build/cache
	mkdir -p "$cache"
fi

# Notes go to stderr: stdout belongs to what a script was asked for.
say()
{
	printf '%s: %s\n' "$me" "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# sha256_is FILE HASH: whether FILE is there and is what HASH says.
sha256_is()
{
	[ -f "$1" ] && [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$2" ]
}

# private_apt DIR TYPE CODENAME: makes DIR a place where `in_private_apt DIR apt-get ...` sees the
# packages (TYPE deb) or sources (TYPE deb-src) of one Debian release, wherever this machine gets its
# own packages from. It needs no privileges and leaves the machine's configuration as it is.
private_apt()
{
	local own file keyring='' uri release component suffix

	mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
	own=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	for file in /usr/share/keyrings/debian-archive-keyring.gpg \
		/usr/share/keyrings/debian-archive-keyring.pgp; do
		[ ! -r "$file" ] || keyring="[signed-by=$file] "
	done

	# apt itself reads the machine's sources, in whichever of its formats they are.
	# shellcheck disable=SC2016 # apt's variables
	apt-get -o "Dir::State::Lists=$1/lists" indextargets --no-release-info \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		sort -u >"$1/own"
	while read -r uri release component; do
		suffix=${release#"${release%%-*}"}
		# What has not been released yet is one suite.
		[ "$3" != sid ] || [ -z "$suffix" ] || continue
		case ${release%%-*}:$suffix:$component in
		"$own":*-backports*:* | stable:*-backports*:* | oldstable:*-backports*:*) ;;
		"$own":*:main | stable:*:main | oldstable:*:main)
			echo "$2 $keyring${uri%/} $3$suffix main"
			;;
		esac
	done <"$1/own" >"$1/sources.list"
	[ -s "$1/sources.list" ] || {
		say "apt's sources on this machine name no Debian release ${own:-(unknown)}"
		return 1
	}
	in_private_apt "$1" apt-get -q update >&2
}

in_private_apt()
{
	local dir=$1 command=$2

	shift 2
	"$command" \
		-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
		-o Dir::State::status=/dev/null -o "APT::Sandbox::User=$(id -un)" \
		-o Acquire::Languages=none -o APT::Update::Error-Mode=any "$@"
}
