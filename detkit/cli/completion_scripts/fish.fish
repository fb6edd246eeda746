# Tab completion of detkit for fish.
function __detkit_complete
    set -lx COMP_LINE (commandline -cp)
    set -l command (commandline -opc)[1]
    set -l choices ($command -sc query=fish 2>/dev/null)
    if set -q choices[1]
        printf '%s\n' $choices
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c detkit -f -a '(__detkit_complete)'
