# fish completion for qsh. Made by `python -m tests.compatibility` from the tables of the program; do not edit.
# Put it into ~/.config/fish/completions or /usr/share/fish/vendor_completions.d.

function __qsh_hosts
    cat ~/.ssh/config ~/.config/qsh/config /etc/ssh/ssh_config /etc/qsh/qsh_config 2>/dev/null |
        awk 'tolower($1) == "host" { for (i = 2; i <= NF; i++) if ($i !~ /[*?!]/) print $i }'
    cat ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts 2>/dev/null |
        awk '$1 !~ /^[|#@]/ { n = split($1, names, ","); for (i = 1; i <= n; i++)
            if (names[i] !~ /[*?!\[]/) print names[i] }'
end

function __qsh_value
    switch $argv[1]
        case host
            __qsh_hosts
        case user
            __fish_complete_users
        case interface
            ls /sys/class/net 2>/dev/null
        case address
            hostname -I 2>/dev/null | string split -n ' '
        case command
            string split ' ' -- '@COMMANDS@'
        case query
            string split ' ' -- '@QUERIES@'
        case option
            string split \n -- '@KEYWORDS@' | string replace -r '$' =
    end
end

complete -c qsh -f
complete -c qsh -a '(__qsh_hosts)' -d host
@FISH_OPTIONS@
