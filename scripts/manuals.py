#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages and shell completions, from what the programs say of themselves.

    scripts/manuals.py --out DIR [--tailor PATH] [--tailord PATH] [--agent PATH]

Runs every program and command with --help, which argp makes from the same tables that parse
the command line, and writes below DIR

    man/tailor.1  man/tailor-agent.1  man/tailord.8
    bash/tailor   bash/tailor-agent   bash/tailord
    zsh/_tailor   zsh/_tailor-agent   zsh/_tailord

Leaves with status 1, naming the program, when one's --help cannot be understood.
"""
import argparse
import os
import re
import subprocess
import sys

# Lines that are never wrapped, and a column that no option reaches.
FORMAT = "rmargin=5000,opt-doc-col=60,no-dup-args-note"
OPTION = re.compile(r"^ {2,6}(?:-(?P<short>\S), *)?--(?P<long>[\w-]+)(?:=(?P<value>\S+))?"
                    r"(?: {2,}(?P<doc>.*))?$")
COMMAND = re.compile(r"^  (?P<name>[a-z]+(?: [a-z]+)?) {2,}(?P<summary>\S.*)$")


class Page:
    """What one --help says: usage, doc, options as dictionaries, commands, closing text."""

    def __init__(self, program, words):
        self.words = words
        environment = dict(os.environ, ARGP_HELP_FMT=FORMAT, LC_ALL="C.UTF-8")
        done = subprocess.run([program, *words, "--help"], env=environment, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        lines = done.stdout.split("\n")
        if done.returncode != 0 or not lines[0].startswith("Usage: "):
            raise SystemExit("manuals: %s %s --help: cannot be understood" % (
                program, " ".join(words)))
        self.usage = lines[0][len("Usage: "):]
        self.options, self.commands, self.doc, self.closing = [], [], "", ""
        for line in lines[1:]:
            self.read_line(line)
        if not self.options:
            raise SystemExit("manuals: %s %s --help: lists no option" % (program, " ".join(words)))

    def read_line(self, line):
        option, command = OPTION.match(line), COMMAND.match(line)
        if option:
            self.options.append(option.groupdict())
        elif command:
            self.commands.append(command.groupdict())
        elif line.strip() and not line.rstrip().endswith(":"):
            if self.options:
                self.closing += line.strip() + " "
            else:
                self.doc += line.strip() + " "

    @property
    def arguments(self):
        """What stands behind the options in the usage line: ["SPACE"]."""
        words = self.usage.split("[OPTION...]", 1)[-1].split()
        return [w.strip("[].") for w in words if w not in ("COMMAND", "...")]


class Program:
    """A program with its commands' pages."""

    def __init__(self, name, path, section, summary):
        self.name, self.section, self.summary = name, section, summary
        self.top = Page(path, [])
        self.pages = [(c, Page(path, c["name"].split())) for c in self.top.commands]
        told = subprocess.run([path, "--version"], text=True, stdout=subprocess.PIPE, check=True)
        self.version = told.stdout.split()[-1]


# ---- manual pages ---------------------------------------------------------------------------

ASKING = [("TAILOR_ENDPOINT", "The daemon to ask, where --connect does not say."),
          ("TAILOR_KEY", "The key file for a daemon that asks for one, where --key does not say.")]
MORE = {
    "tailor": {
        "EXIT STATUS": [("0", "Done."), ("1", "Well formed, but refused or failed."),
                        ("2", "The command line cannot be parsed."),
                        ("3", "design, pareto and fleet: no design keeps every limit; the nearest "
                              "one was printed.")],
        "ENVIRONMENT": ASKING,
        "SEE ALSO": "tailord(8), tailor-agent(1)",
    },
    "tailor-agent": {
        "EXIT STATUS": [("0", "Done."), ("1", "Failed."),
                        ("2", "The command line cannot be parsed.")],
        "ENVIRONMENT": ASKING,
        "SEE ALSO": "tailor(1), tailord(8)",
    },
    "tailord": {
        "SIGNALS": [("SIGTERM, SIGINT", "Finish what was accepted, refuse the rest, leave. Once "
                     "more: cancel what still runs."), ("SIGHUP", "Read what can change again.")],
        "EXIT STATUS": [("0", "Stopped as it was asked to."), ("1", "Could not start or go on."),
                        ("2", "The command line cannot be parsed.")],
        "ENVIRONMENT": [("TAILOR_...", "Every option in capitals, - as _: TAILOR_DATA, "
                         "TAILOR_LISTEN, TAILOR_LOG_LEVEL. The command line is stronger, the "
                         "configuration file weaker."),
                        ("TAILOR_SHARE", "Where the built-in spaces, profiles and models are."),
                        ("LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC", "From systemd: sockets to "
                         "serve, where to say that it is ready, how often to say that it lives.")],
        "SEE ALSO": "tailor(1), tailor-agent(1), systemd.socket(5)",
    },
}


def roff(text):
    """Text with what troff would interpret escaped."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def roff_option(option):
    long = "\\fB%s\\fR" % roff("--" + option["long"])
    if option["value"]:
        long += "=\\fI%s\\fR" % roff(option["value"])
    short = "\\fB%s\\fR, " % roff("-" + option["short"]) if option["short"] else ""
    return ".TP\n%s%s\n%s\n" % (short, long, roff(option["doc"] or ""))


def common_options(program):
    """The options that every command has, and those without commands: the top page's."""
    return {o["long"] for o in program.top.options} if program.pages else set()


def manual(program):
    out = '.\\" Made by scripts/manuals.py from --help.\n'
    out += '.TH %s %s "" "tailor %s"\n' % (program.name.upper(), program.section, program.version)
    out += ".SH NAME\n%s \\- %s\n" % (roff(program.name), roff(program.summary))
    out += ".SH SYNOPSIS\n.B %s\n" % roff(program.top.usage)
    out += ".SH DESCRIPTION\n%s\n" % roff(program.top.doc.strip())
    if program.top.closing and not program.pages:
        out += ".PP\n%s\n" % roff(program.top.closing.strip())
    out += ".SH OPTIONS\n" + "".join(roff_option(o) for o in program.top.options)
    common = common_options(program)
    if program.pages:
        out += ".SH COMMANDS\n"
    for command, page in program.pages:
        out += ".SS %s\n" % roff(page.usage)
        out += "%s\n" % roff(page.doc.strip() or command["summary"])
        out += "".join(roff_option(o) for o in page.options if o["long"] not in common)
    for title, content in MORE[program.name].items():
        out += ".SH %s\n" % title
        if isinstance(content, str):
            out += roff(content) + "\n"
        else:
            out += "".join(".TP\n.B %s\n%s\n" % (roff(a), roff(b)) for a, b in content)
    return out


# ---- completions ----------------------------------------------------------------------------

def kind_of(option_or_argument):
    """How a value is completed: spaces and devices are asked for, files are looked up."""
    word = option_or_argument.upper()
    if word in ("SPACE", "DEVICE"):
        return word.lower()
    return "file" if re.search(r"FILE|DIR|TABLE|\.CSV|\.YAML", word) else "none"


BASH = r"""# Made by scripts/manuals.py from --help: completion of @NAME@ for bash.
_@ID@_ask()
{
    @ASK@
}

_@ID@()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command= options= values= arguments= i
    local valued=" @VALUED@ "
    # bash splits at "=": --space=nas comes as three words
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == [a-z]* && ${COMP_WORDS[i - 1]} != "=" &&
            $valued != *" ${COMP_WORDS[i - 1]} "* ]] &&
            command+="${command:+ }${COMP_WORDS[i]}"
    done
    case $command in
@CASES@
    esac
    local kind=none pair
    for pair in $values; do
        [[ ${pair%%:*} == "$prev" ]] && kind=${pair#*:} && break
        kind=
    done
    if [[ -z $values || -z $kind ]]; then
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
            return
        fi
        kind=$arguments
    fi
    case $kind in
    space) mapfile -t COMPREPLY < <(compgen -W "$(_@ID@_ask space list)" -- "$cur") ;;
    device) mapfile -t COMPREPLY < <(compgen -W "$(_@ID@_ask device list --count 256 ${cur:+"--prefix=$cur"})" -- "$cur") ;;
    file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    none) COMPREPLY=() ;;
    *) mapfile -t COMPREPLY < <(compgen -W "${kind//,/ }" -- "$cur") ;;
    esac
}
complete -o filenames -F _@ID@ @NAME@
"""

# There may be a million devices: only the first ones that begin as the word does are asked for.
ASK = ("tailor --timeout-ms 500 \"$@\" --json 2>/dev/null |\n"
       "        sed -n 's/^{\"[a-z]*\": *\"\\([^\"]*\\)\".*/\\1/p'")


def identifier(program):
    return program.name.replace("-", "_")


def bash_case(pattern, page, arguments):
    flags = [("-" + o["short"], o) for o in page.options if o["short"]]
    flags += [("--" + o["long"], o) for o in page.options]
    names = " ".join("--" + o["long"] for o in page.options)
    values = " ".join("%s:%s" % (f, kind_of(o["value"])) for f, o in flags if o["value"])
    return "    %s)\n        options='%s'\n        values='%s'\n        arguments='%s' ;;" % (
        pattern, names, values, arguments)


def bash(program):
    cases, verbs = [], {}
    for command, _ in program.pages:
        noun, _, verb = command["name"].partition(" ")
        verbs.setdefault(noun, []).append(verb)
    for noun, names in verbs.items():
        if names != [""]:
            cases.append("    '%s') options=--help; arguments='%s' ;;" % (noun, ",".join(names)))
    for command, page in program.pages:
        kind = kind_of(page.arguments[0]) if page.arguments else "none"
        cases.append(bash_case("'%s'*" % command["name"], page, kind))
    top = ",".join(verbs) or "none"
    valued = {flag for page in [program.top] + [p for _, p in program.pages]
              for o in page.options if o["value"]
              for flag in ("--" + o["long"], "-" + (o["short"] or "")) if flag != "-"}
    cases.append(bash_case("''", program.top, top))
    text = BASH.replace("@CASES@", "\n".join(cases)).replace("@ASK@", ASK)
    text = text.replace("@VALUED@", " ".join(sorted(valued)))
    return text.replace("@ID@", identifier(program)).replace("@NAME@", program.name)


def zsh_quote(text):
    """Inside '...[...]' of _arguments."""
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh_action(program, value):
    kind = kind_of(value)
    if kind in ("space", "device"):
        return "_%s_%ss" % (identifier(program), kind)
    return "_files" if kind == "file" else " "


def zsh_specs(program, page):
    for o in page.options:
        value = ":%s:%s" % (zsh_quote(o["value"]), zsh_action(program, o["value"])) \
            if o["value"] else ""
        doc = "[%s]" % zsh_quote(o["doc"] or "")
        equals = "=" if o["value"] else ""
        yield "'--%s%s%s%s'" % (o["long"], equals, doc, value)
        if o["short"]:
            yield "'-%s%s%s'" % (o["short"], doc, value)
    for argument in page.arguments:
        yield "'*:%s:%s'" % (zsh_quote(argument), zsh_action(program, argument))


def zsh_list(what, entries):
    """Offers entries, (name, description), and ends."""
    lines = "".join("        '%s:%s'\n" % (n, zsh_quote(d)) for n, d in entries)
    return "    local -a found\n    found=(\n%s    )\n    _describe %s found\n    return\n" % (
        lines, what)


def zsh_commands(program):
    """Offers the words of a command, and sets command to what was given, n to its words."""
    nouns = {}
    for command, _ in program.pages:
        noun, _, verb = command["name"].partition(" ")
        nouns.setdefault(noun, []).append((verb, command["summary"]))
    tops = [(noun, verbs[0][1] if verbs[0][0] == "" else ", ".join(v for v, _ in verbs))
            for noun, verbs in nouns.items()]
    out = "local command=$words[2] n=1\n"
    out += "if ((CURRENT == 2)); then\n%sfi\n" % zsh_list("command", tops)
    for noun, verbs in nouns.items():
        if verbs[0][0] != "":
            out += "if [[ $words[2] == %s ]] && ((CURRENT == 3)); then\n%sfi\n" % (
                noun, zsh_list("command", verbs))
            out += "[[ $words[2] == %s ]] && command+=\" $words[3]\" n=2\n" % noun
    return out + "shift n words\n((CURRENT -= n))\n"


def zsh(program):
    name = identifier(program)
    out = "#compdef %s\n# Made by scripts/manuals.py from --help.\n" % program.name
    for kind in ("space", "device"):
        out += "_%s_%ss() {\n    local -a names\n    names=(${(f)\"$(%s)\"})\n" % (
            name, kind, ASK.replace(
                '"$@"', "device list --count 256 ${PREFIX:+--prefix=$PREFIX}"
                if kind == "device" else "%s list" % kind))
        out += "    compadd -a names\n}\n"
    if not program.pages:
        return out + "_arguments \\\n    " + " \\\n    ".join(zsh_specs(program, program.top)) + "\n"
    out += zsh_commands(program)
    out += "case $command in\n"
    for command, page in program.pages:
        out += "'%s')\n    _arguments \\\n        %s ;;\n" % (
            command["name"], " \\\n        ".join(zsh_specs(program, page)))
    return out + "esac\n"


def write(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--tailor")
    parser.add_argument("--tailord")
    parser.add_argument("--agent")
    args = parser.parse_args()
    programs = [("tailor", args.tailor, 1, "fits neural networks to devices"),
                ("tailor-agent", args.agent, 1, "measures the machine that it runs on"),
                ("tailord", args.tailord, 8, "the daemon that predicts and designs")]
    for name, path, section, summary in programs:
        if path is None:
            continue
        program = Program(name, path, section, summary)
        write(os.path.join(args.out, "man"), "%s.%d" % (name, section), manual(program))
        write(os.path.join(args.out, "bash"), name, bash(program))
        write(os.path.join(args.out, "zsh"), "_" + name, zsh(program))
    return 0


if __name__ == "__main__":
    sys.exit(main())
