# The remote side of ssh_target.py, which sets $mark, $program, $most_complaint and $python before it and then sends
# requests: "file NAME", "data BLOCK_BYTES BLOCKS" with the data, and "run SECONDS MOST_ANSWER_BYTES".
umask 077
version=$("$python" -c 'import sys; print("%d %d" % sys.version_info[:2])' </dev/null) || exit
temporary=${TMPDIR:-/tmp}
# Only a power failure or a killed script leaves a folder; a day later it is removed.
find "$temporary" -maxdepth 1 -name 'dermpack-remote-*' -user "$(id -u)" -mtime +0 \
    -exec rm -rf {} + 2>/dev/null
folder= worker= watcher=
# timeout leads a process group: one signal reaches the worker and everything that it started.
end_job() {
    [ -z "$worker" ] || kill -s KILL -- "-$worker" "$worker"
    [ -z "$watcher" ] || kill "$watcher"
    wait
    worker= watcher=
} 2>/dev/null
# A signal that comes during the EXIT trap would end the script before the folder is removed, so its own trap removes it too.
clean_up() {
    trap '' HUP INT TERM PIPE
    end_job
    cd /
    [ -z "$folder" ] || rm -rf "$folder"
}
trap clean_up EXIT
trap 'clean_up; exit 1' HUP INT TERM PIPE
folder=$(mktemp -d "$temporary/dermpack-remote-XXXXXXXX") && cd "$folder" || exit
exec 3<&0
echo "$mark $version"
while read -r request first second; do
    case $request in
    file) name=$first; : >"$name" || exit ;;
    # dd reads exactly what it is asked for, so that the next request stays in the pipe.
    data) dd bs="$first" count="$second" iflag=fullblock status=none >>"$name" || exit ;;
    run)
        touch .
        PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 timeout -s KILL "$first" \
            "$python" $program </dev/null 3<&- >.answer 2>.complaint &
        worker=$!
        # No request is sent while a job runs: cat ends only when the connection does.
        (trap 'kill $!; exit' TERM; cat <&3 & wait; kill -s KILL -- "-$worker" "$worker") >/dev/null 2>&1 &
        watcher=$!
        wait "$worker"
        code=$?
        end_job
        size=$(($(wc -c <.answer)))
        [ "$size" -le "$second" ] || : >.answer
        tail -c "$most_complaint" .complaint >.end
        echo "$mark $code $size $(($(wc -c <.end)))"
        cat .answer .end
        ;;
    esac
done
