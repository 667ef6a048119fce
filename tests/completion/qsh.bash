# bash completion for qsh. Made by `python -m tests.compatibility` from the tables of the program; do not edit.
# Put it into /usr/share/bash-completion/completions/qsh, or source it.

_qsh_keywords="@KEYWORDS@"

# Names of hosts: Host lines of the configuration, and what known_hosts has unhashed.
_qsh_hosts() {
    cat ~/.ssh/config ~/.config/qsh/config /etc/ssh/ssh_config /etc/qsh/qsh_config 2>/dev/null |
        awk 'tolower($1) == "host" { for (i = 2; i <= NF; i++) if ($i !~ /[*?!]/) print $i }'
    cat ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts 2>/dev/null |
        awk '$1 !~ /^[|#@]/ { n = split($1, names, ","); for (i = 1; i <= n; i++)
            if (names[i] !~ /[*?!\[]/) print names[i] }'
}

_qsh_values() {
    case $1 in
        B) ls /sys/class/net 2>/dev/null ;;
        b) hostname -I 2>/dev/null ;;
        J) _qsh_hosts ;;
        l) compgen -u ;;
        O) echo @COMMANDS@ ;;
        o) for keyword in $_qsh_keywords; do echo "$keyword="; done ;;
        Q) echo @QUERIES@ ;;
    esac
}

_qsh() {
    local word previous letter index host=
    COMPREPLY=()
    word=${COMP_WORDS[COMP_CWORD]}
    previous=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $previous == -* && $previous != --* ]]; then
        letter=${previous: -1}
        if [[ $letter == [@WITH_VALUE@] ]]; then
            if [[ $letter == [@FILE_LETTERS@] ]]; then
                compopt -o filenames 2>/dev/null
                COMPREPLY=($(compgen -f -- "$word"))
            else
                [[ $letter == o ]] && compopt -o nospace 2>/dev/null
                COMPREPLY=($(compgen -W "$(_qsh_values "$letter")" -- "$word"))
            fi
            return
        fi
    fi
    if [[ $word == -* ]]; then
        local all="@LONG@" letters="@FLAGS@@WITH_VALUE@"
        for ((index = 0; index < ${#letters}; index++)); do all+=" -${letters:index:1}"; done
        COMPREPLY=($(compgen -W "$all" -- "$word"))
        return
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            -*[@WITH_VALUE@]) ((index++)) ;;
            -*) ;;
            *) host=${COMP_WORDS[index]} ;;
        esac
    done
    if [[ -n $host ]]; then
        COMPREPLY=($(compgen -c -- "$word"))
    elif [[ $word == *@* ]]; then
        COMPREPLY=($(compgen -P "${word%%@*}@" -W "$(_qsh_hosts)" -- "${word#*@}"))
    else
        COMPREPLY=($(compgen -W "$(_qsh_hosts)" -- "$word"))
    fi
}

complete -F _qsh qsh
