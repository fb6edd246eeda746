# Tab completion of detkit for bash.
_detkit_complete() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} choice
    local word=${line##*[[:space:]]}
    # Readline completes only what follows the last word break, such as =, so cut the rest off.
    local before=${word%"${word##*["$COMP_WORDBREAKS"]}"}
    COMPREPLY=()
    for choice in $(COMP_LINE=$line "${COMP_WORDS[0]}" -sc query=bash 2>/dev/null); do
        case $choice in
            *[=./]) ;;  # a key or a folder: more follows
            *) choice+=' ' ;;
        esac
        COMPREPLY+=("${choice#"$before"}")
    done
}
complete -o nospace -o bashdefault -o default -F _detkit_complete detkit
