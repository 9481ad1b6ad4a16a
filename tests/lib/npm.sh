# Packages from npm, pinned, below a directory of their own, as `npm install -g` puts them into a home. Sourced by what
# fetches them (tests/agents/fetch, tests/clients/fetch). Nothing of theirs is executed.

# In a table ARCH is the machine as Node has it, BUN as Bun has it, where its program runs on every such machine.
npm_names() { # PACKAGE...: prints them, each once
    case $(uname -m) in
        x86_64) arch=x64 bun=x64-baseline ;;
        aarch64) arch=arm64 bun=aarch64 ;;
        *) echo "nothing from npm for $(uname -m)" >&2; return 0 ;;
    esac
    printf '%s\n' "$@" | sed "s/ARCH/$arch/g; s/BUN/$bun/g" | sort -u
}

npm_get() { # TO PACKAGE...
    to=$1; shift
    npm install -g --prefix "$to" --no-audit --no-fund --ignore-scripts --fetch-retry-maxtimeout=10000 "$@" \
        >> "$to/npm.log" 2>&1 || return 1
    mkdir -p "$to/done"
    for package; do : > "$to/done/$(echo "$package" | tr / +)"; done
}

npm_fetch() { # TO PACKAGE...: those of them that are not there
    to=$1 missing=
    shift
    mkdir -p "$to"
    for package; do
        [ -e "$to/done/$(echo "$package" | tr / +)" ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "contrib/deps: fetching$missing"
    # All at once is faster; one that cannot be had must not keep the others away.
    npm_get "$to" $missing || for package in $missing; do
        npm_get "$to" "$package" ||
            echo "contrib/deps: could not fetch $package: its tests are skipped ($to/npm.log)" >&2
    done
}

# Programs that come without a link of their own.
npm_link() { # TO NAME TARGET
    for target in "$1/lib/node_modules/"$3; do
        [ -e "$target" ] || continue
        mkdir -p "$1/bin"
        chmod +x "$target"
        ln -sf "../${target#"$1/"}" "$1/bin/$2"
    done
}
