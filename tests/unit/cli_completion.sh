#!/bin/bash
# cli_completion.sh FILE: tries the completion script that the build has made, as bash calls it.
set -u

# shellcheck source=/dev/null
. "$1"

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
cd "$directory" || exit 1
mkdir kernels
touch kernel.img kernels/vmlinuz 'with blank'

count=0
failed=0

# offers EXPECTED WORD...: what is offered for the last of the words, in any order. Words are as bash
# cuts them: '=' and ':' are words.
offers()
{
	local expected=$1 offered

	shift
	COMP_WORDS=(provium "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_provium
	offered=$(printf '%s\n' "${COMPREPLY[@]}" | sort | paste -s -d ,)
	count=$((count + 1))
	if [ "$offered" = "$expected" ]; then
		printf 'ok %d - %s\n' "$count" "$*"
	else
		failed=$((failed + 1))
		printf 'not ok %d - %s\n# offered %s\n# expected %s\n' "$count" "$*" "$offered" "$expected"
	fi
}

offers '--help,--version,exec,file,help,info,job,pull,push,run,shell,shim,test,version,worker' ''
offers 'pull,push' pu
offers '' nonsense ''

offers '--kernel,--kill-scope' run --k
offers 'chmod,chown' file ch
offers '--mode' file mkdir --m
offers 'readlink,rm' help file r
offers '--machine,--memory,--merge-stderr,--module,--modules' run --m
offers '--help' version --
offers 'auto,kvm,tcg' run --accel ''
offers 'kvm' run --accel k
offers 'kvm' run --accel = k
offers 'auto,kvm,tcg' run --accel =
offers 'kernel.img,kernels' run --kernel k
offers 'kernel.img,kernels' run --kernel = k
offers 'kernels' run --modules k
offers 'kernels/vmlinuz' run --kernel kernels/
offers 'with blank' run --initrd w
offers '' run --memory ''
offers 'kernel.img,kernels' run --file /guest = k
offers 'kernel.img,kernels' exec --connect unix : k
offers 'kernel.img,kernels' shim -o k
offers 'kernel.img,kernels' shim --token k
offers 'kernel.img,kernels' exec --token k
offers '--machine,--memory,--merge-stderr,--module,--modules' run --accel kvm --file /guest = host --m

# What is the guest's.
offers '' run ls k
offers '' run ls --k
offers '' run -- k
offers '' run --accel kvm -- ls --k
offers '' exec --connect unix : kernel.img k
offers '' file cat k

offers 'kernel.img,kernels' push k
offers 'kernel.img,kernels' push kernel.img k
offers '--connect' push kernel.img --c
offers 'kernel.img,kernels' push -- --x k
offers 'exec,file,help,info,job,pull,push,run,shell,shim,test,version,worker' help ''
offers 'run' help r
offers 'kill,list,output,resize,send,start,wait' help job ''
offers '' help run ''

offers 'job' j
offers 'kill,list,output,resize,send,start,wait' job ''
offers 'send,start' job s
offers '' job nonsense ''
offers '--signal' job send --s
offers '' job send --signal ''
offers 'stderr,stdout' job output --stream std
offers 'both,stderr,stdout' job output --stream =
offers 'kernel.img,kernels' job wait --connect unix : k
offers '' job wait k
offers '' job start --name x make k
offers 'cgroup,tree' job start --kill-scope ''
offers '--no-wait' job wait 7 --n
offers '--output-limit' job start --o
offers '--clear-env' exec --cl
offers '' job resize k

offers 'kill,list,spawn' worker ''
offers '--thread,--timeout,--token' worker spawn --t
offers 'kernel.img,kernels' worker spawn --connect agent-unix : k
offers '' worker kill k

printf '1..%d\n' "$count"
exit $((failed > 0))
