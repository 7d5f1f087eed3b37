// Finding and starting Python without a link to it. SPDX-License-Identifier: BSD-3-Clause
//
// libpython is looked up by dlopen and dlsym, so that the library loads where no Python is. All functions that are
// called in a Python that runs already belong to its stable ABI: any version from 3.10 will do. To start one takes
// PyConfig, a struct of the version whose headers this was compiled with.
#include <Python.h>
#undef Py_CompileString  // a macro over another function, which is not of the stable ABI

#include "interpreter.hpp"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include "pcs/error.hpp"
#include "pcs/quiet.hpp"
#include "recorded.hpp"

namespace pcs::embed {

namespace {

namespace fs = std::filesystem;

#define PCS_TEXT_OF(x) #x
#define PCS_TEXT(x) PCS_TEXT_OF(x)
constexpr const char* version = PCS_TEXT(PY_MAJOR_VERSION) "." PCS_TEXT(PY_MINOR_VERSION);

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::python, message); }

// --- Which Python -----------------------------------------------------------------------------------------------

struct Environment {
    fs::path python;     // its executable
    std::string origin;  // how it was found, for messages
};

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

// This library's own file.
fs::path own_path() {
    Dl_info info;
    if (!dladdr(reinterpret_cast<const void*>(&bridge), &info) || !info.dli_fname) return {};
    std::error_code ignored;
    return fs::weakly_canonical(info.dli_fname, ignored);
}

fs::path python_of(const fs::path& environment) { return environment / "bin" / "python3"; }

// The python of the environment that a file is installed in: the nearest folder above that is a virtual or conda
// environment, or the prefix of a lib/python3.X, which on Debian belongs to the system's python. Empty: none.
fs::path python_above(const fs::path& file) {
    for (fs::path folder = file.parent_path(); folder != folder.root_path(); folder = folder.parent_path()) {
        const bool environment = is_there(folder / "pyvenv.cfg") || is_there(folder / "conda-meta");
        if (environment && is_there(python_of(folder))) return python_of(folder);
        const std::string name = folder.filename().string();
        if (name.rfind("python3.", 0) != 0 || folder.parent_path().filename() != "lib") continue;
        for (const fs::path& bin : {folder.parent_path().parent_path() / "bin", fs::path("/usr/bin")})
            if (is_there(bin / name)) return bin / name;
    }
    return {};
}

Environment find_environment() {
    if (const std::string given = variable("PCS_PYTHON"); !given.empty()) {
        std::error_code ignored;
        const fs::path python = fs::is_directory(given, ignored) ? python_of(given) : fs::path(given);
        if (!is_there(python))
            refuse("PCS_PYTHON is '" + given +
                   "', which is not there: set it to the python of an environment with pychemsurrogate");
        return {fs::absolute(python), "PCS_PYTHON"};
    }
    if (const fs::path python = python_above(own_path()); !python.empty())
        return {python, "the environment that libpcs_embed lies in"};
    if (const std::string active = variable("VIRTUAL_ENV"); !active.empty()) {
        if (!is_there(python_of(active)))
            refuse("VIRTUAL_ENV is '" + active +
                   "', where there is no bin/python3: activate an environment that is "
                   "there, or set PCS_PYTHON to the python of one with pychemsurrogate");
        return {python_of(active), "VIRTUAL_ENV"};
    }
    if (is_there(recorded_python)) return {recorded_python, "the Python that libpcs_embed was built with"};
    refuse(
        "no Python found: set PCS_PYTHON to the python of an environment with pychemsurrogate (neither PCS_PYTHON "
        "nor VIRTUAL_ENV is set, libpcs_embed lies in no environment, and " +
        std::string(recorded_python) + ", with which it was built, is not there)");
}

// The value of a key in an environment's pyvenv.cfg, "" if there is none.
std::string pyvenv_value(const fs::path& python, const std::string& key) {
    const fs::path bin = python.parent_path();
    for (const fs::path& folder : {bin, bin.parent_path()}) {
        std::ifstream file(folder / "pyvenv.cfg");
        for (std::string line; std::getline(file, line);) {
            const auto equals = line.find('=');
            if (equals == std::string::npos || line.substr(0, line.find_last_not_of(" \t", equals - 1) + 1) != key)
                continue;
            const auto begin = line.find_first_not_of(" \t", equals + 1);
            return begin == std::string::npos ? "" : line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
        }
    }
    return "";
}

// The folder of the interpreter that an environment's python stands for.
fs::path base_bin(const fs::path& python) {
    if (const std::string home = pyvenv_value(python, "home"); !home.empty()) return home;
    std::error_code failed;
    const fs::path real = fs::canonical(python, failed);
    return (failed ? python : real).parent_path();
}

// The minor versions whose standard library lies below a prefix, as "3.11, 3.12".
std::string versions_below(const fs::path& prefix) {
    std::string found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(prefix / "lib", ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.rfind("python3.", 0) == 0 && is_there(entry.path() / "encodings"))
            found += (found.empty() ? "" : ", ") + name.substr(6);
    }
    return found;
}

bool is_version(const std::string& full) { return full == version || full.rfind(std::string(version) + ".", 0) == 0; }

std::string called(const Environment& environment) {
    return environment.python.string() + " (" + environment.origin + ")";
}

// Python's own start would print the paths that it tried, if it did not find its library.
void check_standard_library(const Environment& environment) {
    const auto other_version = [&](const std::string& found) {
        refuse("libpcs_embed was built for Python " + std::string(version) + ", but " + called(environment) +
               " is Python " + found + ": set PCS_PYTHON to a Python " + version +
               ", or build libpcs_embed with that one");
    };
    for (const char* key : {"version", "version_info"})
        if (const std::string found = pyvenv_value(environment.python, key); !found.empty() && !is_version(found))
            other_version(found);
    const fs::path prefix = base_bin(environment.python).parent_path();
    const std::string home = variable("PYTHONHOME");
    const fs::path library = home.empty() ? prefix : fs::path(home.substr(0, home.find(':')));
    const std::string folder = std::string("python") + version;
    if (!is_there(library / "lib" / folder / "encodings") && !is_there(library / "lib64" / folder / "encodings")) {
        if (const std::string found = versions_below(library); !found.empty() && home.empty()) other_version(found);
        refuse("the standard library of Python " + std::string(version) + " is not in " + (library / "lib").string() +
               (home.empty() ? ", where " + called(environment) + " has it" : ", where PYTHONHOME says that it is") +
               ": set PCS_PYTHON to a whole installation");
    }
}

fs::path find_libpython(const Environment& environment) {
    const fs::path prefix = base_bin(environment.python).parent_path();
    std::string looked;
    for (const char* place : {"lib", "lib64", recorded_multiarch})
        for (const char* name :
             {recorded_soname, "libpython" PCS_TEXT(PY_MAJOR_VERSION) "." PCS_TEXT(PY_MINOR_VERSION) ".so"}) {
            const fs::path candidate = prefix / place / name;
            if (*place && is_there(candidate)) return candidate;
            if (*place) looked += (looked.empty() ? "" : ", ") + candidate.string();
        }
    refuse("the Python of " + called(environment) + " has no shared library (looked for " + looked +
           "): on Debian and Ubuntu install libpython" + version +
           "; a Python from pyenv needs PYTHON_CONFIGURE_OPTS=--enable-shared; conda's and uv's have one");
}

// --- libpython's functions --------------------------------------------------------------------------------------

// Of the stable ABI.
#define PCS_PYTHON_FUNCTIONS(X) \
    X(Py_IsInitialized)         \
    X(PyGILState_Ensure)        \
    X(PyGILState_Release)       \
    X(PyEval_SaveThread)        \
    X(PyEval_GetBuiltins)       \
    X(PyEval_EvalCode)          \
    X(Py_CompileString)         \
    X(PyDict_New)               \
    X(PyDict_SetItemString)     \
    X(PyDict_GetItemString)     \
    X(PyLong_FromVoidPtr)       \
    X(PyBool_FromLong)          \
    X(PyUnicode_FromString)     \
    X(PyUnicode_AsUTF8AndSize)  \
    X(PyImport_ImportModule)    \
    X(PyErr_Clear)              \
    X(Py_DecRef)

struct Functions {
#define PCS_FUNCTION(name) decltype(&::name) name = nullptr;
    PCS_PYTHON_FUNCTIONS(PCS_FUNCTION)
#undef PCS_FUNCTION
};

template <class Function>
void look_up(void* handle, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    if (!function) refuse(std::string("libpython has no function ") + name + ": Python 3.10 or later is needed");
}

// A libpython that is in the process, but was loaded out of sight of dlsym(RTLD_DEFAULT); null: none.
void* loaded_out_of_sight() {
    std::string found;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* out) {
            const std::string path = info->dlpi_name ? info->dlpi_name : "";
            const auto slash = path.rfind('/');
            if (path.compare(slash == std::string::npos ? 0 : slash + 1, 10, "libpython3") != 0) return 0;
            *static_cast<std::string*>(out) = path;
            return 1;
        },
        &found);
    // Extension modules look for Python's functions in the global scope.
    return found.empty() ? nullptr : dlopen(found.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

Functions functions_of(void* handle) {
    Functions functions;
#define PCS_FUNCTION(name) look_up(handle, #name, functions.name);
    PCS_PYTHON_FUNCTIONS(PCS_FUNCTION)
#undef PCS_FUNCTION
    return functions;
}

// --- The start --------------------------------------------------------------------------------------------------

// As `python` of the environment would start, but for what belongs to the host: arguments, signals, locale, the C
// library's streams. Returns what went wrong, "" if nothing did.
std::string start(void* handle, const Environment& environment) {
#define PCS_LOCAL(name)          \
    decltype(&::name) py_##name; \
    look_up(handle, #name, py_##name)
    PCS_LOCAL(PyPreConfig_InitPythonConfig);
    PCS_LOCAL(Py_PreInitialize);
    PCS_LOCAL(PyConfig_InitPythonConfig);
    PCS_LOCAL(PyConfig_SetBytesString);
    PCS_LOCAL(PyConfig_Clear);
    PCS_LOCAL(Py_InitializeFromConfig);
    PCS_LOCAL(PyStatus_Exception);
#undef PCS_LOCAL
    const auto reason = [](const PyStatus& status) {
        return std::string(status.func ? status.func : "Python") + ": " +
               (status.err_msg ? status.err_msg : "it asked for an exit");
    };
    PyPreConfig before;
    py_PyPreConfig_InitPythonConfig(&before);
    before.parse_argv = 0;
    before.configure_locale = 0;
    before.coerce_c_locale = 0;
    before.utf8_mode = 1;  // whatever the host's locale is
    if (const PyStatus status = py_Py_PreInitialize(&before); py_PyStatus_Exception(status)) return reason(status);

    PyConfig config;
    py_PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    config.configure_c_stdio = 0;
    config.pathconfig_warnings = 0;
    PyStatus status = py_PyConfig_SetBytesString(&config, &config.program_name, environment.python.c_str());
    if (!py_PyStatus_Exception(status))
        status = py_PyConfig_SetBytesString(&config, &config.executable, environment.python.c_str());
    if (!py_PyStatus_Exception(status)) status = py_Py_InitializeFromConfig(&config);
    py_PyConfig_Clear(&config);
    return py_PyStatus_Exception(status) ? reason(status) : "";
}

// Runs with `ours`, `address`, `declarations`, `figures` and `release`; leaves what went wrong in `error`. What is
// printed while modules are imported into a Python of ours belongs to the message, not on the host's terminal.
const char* const bootstrap = R"python(
import sys
error, printed = "", None
def connect():
    from pychemsurrogate.embed import serve
    serve(address, declarations, figures.split(), release)
try:
    if ours:
        import contextlib, io, warnings
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            connect()
    else:
        connect()
except BaseException:
    import traceback
    error = traceback.format_exc() + (printed.getvalue() if printed else "")
)python";

// --- The state of the process -----------------------------------------------------------------------------------

std::mutex starting;                     // held by no thread that waits for the GIL
std::string failed_start;                // Python cannot be started twice
Environment started_from;                // empty python: it ran already
std::atomic<const Functions*> python{};  // once it runs
std::atomic<bool> ours{false}, forked{false};
std::atomic<const pcs_bridge*> ready{};
pcs_bridge table;

std::string& thread_error() {
    thread_local std::string message;
    return message;
}

void keep_error(const char* message) noexcept {
    try {
        thread_error() = message;
    } catch (...) {
        thread_error().clear();
    }
}

// Makes sure that a Python runs.
const Functions& run_python() {
    const std::lock_guard guard(starting);
    if (const Functions* known = python.load()) return *known;
    if (!failed_start.empty()) refuse(failed_start);
    void* handle = RTLD_DEFAULT;
    if (!dlsym(RTLD_DEFAULT, "Py_IsInitialized") && !(handle = loaded_out_of_sight())) {
        started_from = find_environment();
        check_standard_library(started_from);
        handle = dlopen(find_libpython(started_from).c_str(), RTLD_NOW | RTLD_GLOBAL);
        if (!handle) refuse("libpython cannot be loaded: " + std::string(dlerror()));
    }
    static Functions functions;
    functions = functions_of(handle);
    if (!functions.Py_IsInitialized()) {
        decltype(&::Py_GetVersion) get_version;
        look_up(handle, "Py_GetVersion", get_version);
        const std::string linked = get_version();
        if (!is_version(linked.substr(0, linked.find(' '))))
            refuse("libpcs_embed was built for Python " + std::string(version) + ", but the process holds Python " +
                   linked.substr(0, linked.find(' ')) + ", which does not run yet: start it before pcs_open");
        if (started_from.python.empty()) check_standard_library(started_from = find_environment());
        if (const std::string reason = start(handle, started_from); !reason.empty()) {
            failed_start =
                "Python " + std::string(version) + " of " + called(started_from) + " does not start: " + reason;
            refuse(failed_start);
        }
        ours = true;
        // Python takes SIGINT over as soon as anything imports this module, whatever its configuration says.
        struct sigaction interrupt;
        sigaction(SIGINT, nullptr, &interrupt);
        if (PyObject* module = functions.PyImport_ImportModule("signal")) functions.Py_DecRef(module);
        functions.PyErr_Clear();
        sigaction(SIGINT, &interrupt, nullptr);
        // The child has this memory, but not the threads that Python believes in.
        pthread_atfork(nullptr, nullptr, [] { forked = true; });
        functions.PyEval_SaveThread();
    }
    python = &functions;
    return functions;
}

const char* const report_names =
#define PCS_REPORT(type, name, meaning) #name " "
#include "pcs/report.def"
#undef PCS_REPORT
    ;

// Imports the Python side and lets it fill the table; several threads may do so at once, to the same end.
void connect(const Functions& py) {
    const PyGILState_STATE state = py.PyGILState_Ensure();
    PyObject* names = py.PyDict_New();
    const auto set = [&](const char* name, PyObject* value) {
        if (names && value) py.PyDict_SetItemString(names, name, value);
        if (value) py.Py_DecRef(value);
    };
    if (names) py.PyDict_SetItemString(names, "__builtins__", py.PyEval_GetBuiltins());
    set("ours", py.PyBool_FromLong(ours));
    set("address", py.PyLong_FromVoidPtr(&table));
    set("declarations", py.PyUnicode_FromString(recorded_bridge));
    set("figures", py.PyUnicode_FromString(report_names));
    set("release", py.PyUnicode_FromString(recorded_release));
    std::string error = "Python is out of memory";
    if (PyObject* code = py.Py_CompileString(bootstrap, "<libpcs_embed>", Py_file_input)) {
        if (PyObject* result = py.PyEval_EvalCode(code, names, names)) {
            PyObject* text = py.PyDict_GetItemString(names, "error");  // borrowed
            const char* message = text ? py.PyUnicode_AsUTF8AndSize(text, nullptr) : nullptr;
            if (message) error = message;
            py.Py_DecRef(result);
        }
        py.Py_DecRef(code);
    }
    py.PyErr_Clear();
    if (names) py.Py_DecRef(names);
    py.PyGILState_Release(state);
    if (!error.empty())
        refuse((ours ? "Python " + std::string(version) + " of " + called(started_from)
                     : std::string("the Python that runs in this process")) +
               " cannot serve pychemsurrogate: install it there, or set PCS_PYTHON to the python of an environment "
               "that has it\n" +
               error);
    ready = &table;
}

}  // namespace

bool running() noexcept {
    const Functions* py = python.load();
    return py && ready.load() && !forked && py->Py_IsInitialized();
}

const pcs_bridge& bridge() {
    if (!ready.load()) {
        const OwnFloatingPoint own;  // imports divide by zero
        table.fail = keep_error;
        connect(run_python());
    }
    if (forked)
        refuse(
            "this process was forked after Python had started in its parent, which it does not survive: fork first, "
            "then open the model in each process");
    if (!running()) refuse("the Python of this process has been finalised: close all handles before Py_Finalize");
    return table;
}

const char* bridge_error() noexcept { return thread_error().c_str(); }

}  // namespace pcs::embed
