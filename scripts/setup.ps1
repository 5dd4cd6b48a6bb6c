# Creates .venv with the versions of requirements.lock, or brings it up to date: Windows' setup.sh.
#   powershell -ExecutionPolicy Bypass -File scripts\setup.ps1
# Safe to repeat. Set $env:PYTHON to choose another Python than the newest one of the py launcher.
$ErrorActionPreference = 'Stop'
Set-Location (Split-Path -Parent $PSScriptRoot)

function Invoke-Checked {
    # Runs a program, and stops if it fails: PowerShell itself would go on.
    param([string] $Program, [string[]] $Arguments)
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) {
        throw "$Program $($Arguments -join ' ') ended with $LASTEXITCODE"
    }
}

function Find-Python {
    # The Python to start from, and the arguments that choose it.
    if ($env:PYTHON) { return , @($env:PYTHON) }
    if (Get-Command py -ErrorAction SilentlyContinue) { return , @('py', '-3') }
    return , @('python')
}

$python = '.venv\Scripts\python.exe'
$stampFile = '.venv\lock.sha256'
$isRecent = 'import sys; sys.exit(sys.version_info < (3, 10))'

if (-not (Test-Path $python)) {
    if ((Test-Path .venv) -and -not (Test-Path .venv\pyvenv.cfg)) {
        throw "$PWD\.venv is not a virtual environment; move it away and run this again"
    }
    $start = Find-Python
    $program, $chosen = $start[0], @($start | Select-Object -Skip 1)
    & $program @chosen -c $isRecent
    if ($LASTEXITCODE -ne 0) {
        throw "$program is absent or older than 3.10; set `$env:PYTHON to a newer python.exe"
    }
    Invoke-Checked $program ($chosen + @('-m', 'venv', '--clear', '.venv'))
}

# A stamp of the lock file spares the package registry when nothing changed.
$locks = 'requirements.lock', 'requirements-no-deps.lock', 'pyproject.toml'
$hashes = $locks | ForEach-Object { (Get-FileHash -Algorithm SHA256 $_).Hash }
$stamp = "$($hashes -join ' ') $PWD"
$known = if (Test-Path $stampFile) { (Get-Content -Raw $stampFile).Trim() } else { '' }
if ($known -ne $stamp) {
    if (Test-Path $stampFile) { Remove-Item $stampFile }  # so that a failure is not taken for done
    $install = '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'
    Invoke-Checked $python ($install + @('-r', 'requirements.lock'))
    Invoke-Checked $python ($install + @('--no-deps', '-r', 'requirements-no-deps.lock'))
    Invoke-Checked $python ($install + @('--no-deps', '--editable', '.'))
    Set-Content -Path $stampFile -Value $stamp -Encoding ascii
}
