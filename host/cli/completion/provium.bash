# shellcheck shell=bash disable=SC2154
# The tables that this reads stand before it; they are made from the commands' own:
#
#     _provium_options[COMMAND]           its options
#     _provium_values[COMMAND:OPTION]     what the option's value is; options without one have no entry
#     _provium_operands[COMMAND]          what its operands are
#
# each value or operand being `file`, `directory`, `nothing`, `guest` (names in the guest, for which
# there is nothing to offer), `command` (names of commands) or `words WORD...`. A COMMAND has one word
# or two.
#
# Bash has cut the line at COMP_WORDBREAKS, '=' and ':' among them, so --kernel=FILE, --file GUEST=HOST
# and unix:PATH arrive in pieces (bash(1), "Programmable Completion").

# Prints what can follow the words given, as the next word of a command's name.
_provium_next()
{
	local name beginning="$*${1+ }"
	local -A words=()

	for name in "${!_provium_operands[@]}"; do
		if [[ $name == "$beginning"* ]]; then
			name=${name#"$beginning"}
			words[${name%% *}]=
		fi
	done
	printf '%s\n' "${!words[*]}"
}

# Prints what the word at COMP_CWORD is, for which `before` stands before it.
_provium_kind()
{
	local command=${COMP_WORDS[1]} first=2 i word

	if [[ ! ${_provium_operands[$command]+set} ]]; then
		if ((at == 2)); then
			printf 'words %s\n' "$(_provium_next "$command")"
			return
		fi
		command="$command ${COMP_WORDS[2]}"
		first=3
	fi

	case $before in
	=)
		word=${COMP_WORDS[at - 2]}
		printf '%s\n' "${_provium_values[$command:$word]-file}"
		return
		;;
	:)
		echo file
		return
		;;
	esac
	if [[ ${_provium_values[$command:$before]+set} ]]; then
		printf '%s\n' "${_provium_values[$command:$before]}"
		return
	fi
	for ((i = first; i < at; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == -- ]]; then
			printf '%s\n' "${_provium_operands[$command]-}"
			return
		elif [[ ${_provium_values[$command:$word]+set} ]]; then
			i=$((i + 1))
			[[ ${COMP_WORDS[i]} == '=' ]] && i=$((i + 1))
		elif [[ $word == '=' || $word == ':' ]]; then
			i=$((i + 1))
		elif [[ $word != -* && ${_provium_operands[$command]-} == guest ]]; then
			echo nothing
			return
		fi
	done
	if [[ $current == -* ]]; then
		printf 'words %s\n' "${_provium_options[$command]-}"
	else
		printf '%s\n' "${_provium_operands[$command]-}"
	fi
}

_provium()
{
	local at=$COMP_CWORD current=${COMP_WORDS[COMP_CWORD]} before kind

	# The word begins behind the break.
	if [[ $current == '=' || $current == ':' ]]; then
		current=
		at=$((at + 1))
	fi
	before=${COMP_WORDS[at - 1]}
	if ((at == 1)); then
		kind="words $(_provium_next) --help --version"
	else
		kind=$(_provium_kind)
	fi

	COMPREPLY=()
	case $kind in
	command)
		kind=$(_provium_next "${COMP_WORDS[@]:2:at-2}")
		mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$current")
		;;
	words\ *) mapfile -t COMPREPLY < <(compgen -W "${kind#words }" -- "$current") ;;
	file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	directory)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		;;
	esac
}
complete -F _provium provium
