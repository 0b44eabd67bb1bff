# SPDX-License-Identifier: Apache-2.0
# fish completion of all programs of QuFabric SSH; installed under the name of each. What is offered, the file for bash
# decides (see there).

set -g __qufabric_folder (status dirname)

function __qufabric_offers
    set -l answer (bash $__qufabric_folder/../../bash-completion/completions/qufabric --offer (commandline -opc) (commandline -ct) 2>/dev/null)
    if test (count $answer) -gt 1
        printf '%s\n' $answer[2..-1]
    end
    switch "$answer[1]"
        case files
            __fish_complete_path (commandline -ct)
        case folders
            __fish_complete_directories (commandline -ct) ''
    end
end

for program in qufabric qf-up qf-token qf-tokend qf-detect qf-proxy qf-sshd
    complete -c $program -e
    complete -c $program -f -k -a '(__qufabric_offers)'
end
