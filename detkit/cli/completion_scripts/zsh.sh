# Tab completion of detkit for zsh.
_detkit() {
    local -a choices
    choices=(${(f)"$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" $words[1] -sc query=zsh 2>/dev/null)"})
    if (( ! $#choices )); then
        _files
        return
    fi
    compadd -S '' -- ${(M)choices:#*[=./]}  # keys and folders: more follows
    compadd -- ${choices:#*[=./]}
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _detkit detkit
