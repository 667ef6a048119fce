# bash completion for qshctl(8)
_qshctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in
        --run-dir) COMPREPLY=($(compgen -d -- "$word")); return ;;
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '--force --help --json --run-dir --version' -- "$word"))
    elif [[ " ${COMP_WORDS[*]:1:COMP_CWORD - 1} " == *' kill '* ]]; then
        COMPREPLY=($(compgen -W "$(qshctl sessions 2>/dev/null |
            awk 'NR > 1 { print $1 "/" $2 }')" -- "$word"))
    else
        COMPREPLY=($(compgen -W 'sessions kill' -- "$word"))
    fi
}
complete -F _qshctl qshctl
