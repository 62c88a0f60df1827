//! The help in Korean.

use clap::Command;

use super::at;

/// Each command: what it does, and more about it.
const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "tour",
        "kubectl 없이 60초 만에 둘러보기.",
        "etcd 멤버 세 개로 컨트롤 플레인을 띄우고, 쓰기 도중에 리더를 죽인 다음, 멤버들이 서로 무슨 말을 했는지 보여 주고, \
         빨간 검사 하나를 설명합니다. 여기서 시작하세요.",
    ),
    (
        "start",
        "실습 시작: 내 kubectl과 etcdctl을 위한 전용 컨트롤 플레인.",
        "컨트롤 플레인은 `labkit stop` 할 때까지 백그라운드에서 돕니다. 이 터미널을 닫아도 마찬가지입니다. kubectl과 etcdctl을 \
         연결하는 줄과 첫 과제를 출력합니다. ~/.kube/config 는 건드리지 않습니다.",
    ),
    (
        "check",
        "실행 중인 실습 검사: 된 것, 아직인 것, 그 이유.",
        "얼마든지 자주 실행해도 됩니다. 빨간 검사가 알려 주는 내용이 무엇을 살펴봐야 할지 말해 줍니다. 아직 답하지 않은 \
         질문도 보여 줍니다.",
    ),
    (
        "watch",
        "작업하는 동안 계속 검사하기.",
        "된 것, 아직인 것, 그 이유를 보여 주고, 실습에서 무슨 일이 일어날 때마다 다시 검사합니다. 터미널 하나에 따로 열어 두세요. \
         Ctrl-C 로 나가도 실습은 계속됩니다. 터미널이 아니면 바뀔 때마다 한 줄을, --json 이면 한 줄에 문서 하나를 출력합니다.",
    ),
    (
        "hint",
        "아직 빨간 검사에 대한 다음 힌트.",
        "부를 때마다 하나씩, 가벼운 귀띔에서 거의 정답까지 나아갑니다.",
    ),
    (
        "answer",
        "실습의 질문에 답하기.",
        "알아낸 것을 묻는 과제가 있습니다. ID 없이 부르면 질문 목록을 보여 줍니다.",
    ),
    (
        "fault",
        "장애를 주입하거나 복구하기.",
        "동사 없이 부르면 지금의 장애와 장애를 줄 수 있는 대상을 보여 줍니다. TARGET은 etcd/etcd1, scheduler, kubelet/worker2, \
         node/worker2(전원) 같은 이름이거나 역할인 etcd/leader입니다. LINK는 두 무리입니다: \"etcd1 | etcd2, etcd3\".",
    ),
    ("fault kill", "프로세스를 SIGKILL처럼 바로 끝냅니다. 디스크는 남습니다.", ""),
    ("fault pause", "프로세스를 SIGSTOP처럼 얼립니다.", ""),
    ("fault power-off", "머신의 전원을 끕니다: node/worker2.", ""),
    ("fault power-loss", "etcd 멤버를 죽이고 디스크에 동기화하지 않은 것을 잃게 합니다.", ""),
    ("fault partition", "무리 사이에 아무것도 오가지 못하게 합니다: \"etcd1 | etcd2, etcd3\".", ""),
    ("fault delay", "무리 사이의 메시지를 그 시간만큼 늦춥니다.", ""),
    ("fault drop", "무리 사이의 메시지를 0에서 1까지의 확률로 잃습니다.", ""),
    ("fault slow-disk", "etcd 멤버의 디스크 동기화가 매번 그만큼 걸리게 합니다.", ""),
    ("fault full-disk", "etcd 멤버의 디스크가 더는 받지 못하게 합니다.", ""),
    (
        "fault corrupt-byte",
        "etcd 멤버의 로그에서 바이트 하나를 뒤집습니다. 멤버가 다음에 시작할 때 드러납니다.",
        "",
    ),
    (
        "fault clock-skew",
        "컴포넌트의 시계를 앞이나 뒤로 돌려놓습니다. 날짜가 틀려질 뿐 타이머는 그대로입니다.",
        "",
    ),
    ("fault heal", "장애를 복구합니다: 그 ID 하나, 또는 모두.", ""),
    ("fault stop", "`fault start` 할 때까지 컴포넌트를 정상적으로 멈춥니다.", ""),
    ("fault start", "멈추거나 죽은 컴포넌트를 시작합니다.", ""),
    (
        "clock",
        "시간을 한꺼번에 흘려보내기.",
        "그 사이의 모든 타이머가 차례대로 울리므로 \"40초 뒤 NotReady\"를 기다릴 필요가 없습니다. 시간을 주지 않으면 실습의 \
         시각을 알려 줍니다.",
    ),
    (
        "pause",
        "실습의 시간을 멈추기.",
        "물으면 여전히 대답하지만 타이머는 울리지 않습니다. 하트비트도, 리스 만료도, 재시도도 없습니다. `labkit step` 이나 \
         `labkit resume` 으로 이어 가세요.",
    ),
    (
        "step",
        "멈춘 시간을 조금만 흘려보내기.",
        "시간을 주지 않으면 1초입니다. 그 사이의 모든 타이머가 차례대로 울리고, 시간은 다시 멈춥니다.",
    ),
    ("resume", "실습의 시간을 다시 흐르게 하기.", ""),
    (
        "raft",
        "저장소를 느린 동작으로 보기: Raft의 메시지를 한 번에 하나씩.",
        "동사 없이 부르면 멤버마다 역할, 임기(term), 마지막 인덱스, 커밋 인덱스, 적용 인덱스를 보여 줍니다. 메시지를 붙잡고 있는 동안 시간은          멈춥니다. `labkit step` 으로 시간을 흘려보내지 않으면 아무도 선출되지 않고, 쓰기는 필요한 메시지를 도착시킬 때까지 기다립니다.",
    ),
    ("raft hold", "멤버 사이의 메시지를 붙잡아 두고 시간을 멈춥니다.", ""),
    ("raft deliver", "다음 메시지를 도착시키고 무엇이 바뀌었는지 봅니다.", ""),
    ("raft release", "메시지가 다시 저절로 도착하고 시간이 흐르게 합니다.", ""),
    (
        "timeline",
        "일어난 일을 메시지 하나하나 보기.",
        "실행 중인 실습, 없으면 마지막 실행을 보여 줍니다. 누가 누구에게 무슨 말을 했고 무엇이 고장 났는지를 하트비트 없이 \
         보여 줍니다. --at 은 그 리비전의 저장소나 객체를 보여 줍니다. etcd는 컴팩션할 때까지 모든 리비전을 간직합니다.",
    ),
    (
        "reset",
        "실행 중인 실습을 새 클러스터로 다시 시작하기.",
        "포트와 파일은 그대로이므로 터미널은 계속 쓸 수 있습니다. 한 일은 사라지고, 과정의 최고 점수는 남습니다.",
    ),
    (
        "snapshot",
        "실행 중인 실습의 상태를 남겨 두고 나중에 돌아오기.",
        "지금까지 한 모든 일을 적어 둡니다. `labkit restore` 는 `labkit stop` 뒤에라도 몇 번이든 이 순간으로 되돌립니다. 마음껏 해 보고 \
         되돌리세요.",
    ),
    (
        "restore",
        "실행 중인 실습을 스냅숏으로 되돌리기.",
        "실습을 새로 시작하고, 스냅숏에 적힌 일을 같은 시간 간격으로 되도록 빨리 다시 합니다. 포트와 파일은 그대로이므로 터미널을 계속 \
         쓸 수 있습니다. 생성된 이름처럼 우연이 정하는 것은 달라질 수 있습니다.",
    ),
    ("status", "무엇이 어디서 돌고 있고, 어디까지 왔는지.", ""),
    (
        "submit",
        "한 일을 제출물로 쓰기.",
        "쓰기, 장애, 답이 시각과 함께 DIR/submission.yaml 에 들어갑니다. `labkit run LAB --submission DIR` 은 그것을 강사와 \
         똑같이 채점합니다.",
    ),
    (
        "stop",
        "실행 중인 실습 끝내기.",
        "컨트롤 플레인을 끝내고 그 파일을 지웁니다. 한 일을 남기려면 먼저 제출하세요.",
    ),
    (
        "up",
        "실습 없이 클러스터를 이 터미널에서 띄우기.",
        "자기 실험이나, API 서버가 필요한 테스트 모음을 위한 것입니다. 플래그는 제공하는 범위에서 kube-apiserver의 것과 같습니다. \
         kubectl을 연결하는 줄을 출력합니다. Ctrl-C 로 끝나고 그 파일도 지워집니다.",
    ),
    (
        "run",
        "제출물을 가상 시간으로 몇 밀리초 만에 채점.",
        "플래그가 없으면 학생이 처음 받는 start/ 를 채점하므로 모든 검사가 빨갛게 보입니다. 같은 실습, 같은 제출물, 같은 시드는 \
         바이트 하나까지 같은 보고서를 냅니다.",
    ),
    (
        "grade",
        "학급 채점: 폴더 안의 모든 제출물을 모든 코어로.",
        "DIR에는 학생마다 그 이름의 폴더가 있고 그 안에 submission.yaml이 있습니다(`labkit submit` 이 쓰는 것처럼 실습 이름의 폴더          안에 있어도 됩니다). 폴더 이름이 그 학생의 변형 값과 실행 중 모든 우연을 정하므로, 몇 개를 동시에 채점하든 다시 채점해도 결과가          같습니다. 제출물은 데이터일 뿐이며, 시간과 메모리가 제한된 별도 프로세스에서 읽고 실행합니다. 한도를 어긴 제출물은 자기 점수만          잃고 그 이유가 보고서에 남습니다. --out 을 주면 보고서를 끝나는 대로 씁니다. Ctrl-C나 가득 찬 디스크에도 그때까지의 결과는          남고, --resume 은 거기서 이어 갑니다.\n\n점수가 몇 점이든 모든 제출물이 채점되면 0, 한도 초과나 중단으로 채점되지 않은 것이          있으면 1, 명령이나 실습이 잘못되면 2, labkit 자체가 실패하면 3으로 끝납니다.",
    ),
    (
        "lint",
        "실습이 옳다는 것을 증명.",
        "모든 파일을 검사한 뒤 채점합니다. start/ 는 만점 미만, solution/ 은 만점, wrong/ 의 각각은 스스로 밝힌 검사에서만 \
         떨어져야 하고, 여러 시드에서 모두 같아야 합니다. 빈 클러스터에서 통과하는 검사가 있어서는 안 됩니다. 그다음 모범 답안을 \
         한 번에 하나씩 망가뜨려 보고, 점수를 잃지 않은 실수를 알려 줍니다.",
    ),
    (
        "pack",
        "학생에게 나눠 줄, 답 없는 과정 쓰기.",
        "나눠 줄 폴더를 씁니다. 이름을 준 실습(없으면 전부)의 글과 학생이 처음 받는 것만 담고 solution/ 과 wrong/ 은 뺍니다. 그 안에서 \
         `labkit start LAB` 으로 실습합니다.",
    ),
    ("new", "새로 만들기: 실습.", ""),
    (
        "new lab",
        "이미 동작하는 실습을 써서 내 것으로 고치기.",
        "lab.yaml, 두 README, start/, solution/, 틀린 제출물 두 개가 든 폴더입니다. `labkit lint` 는 아무 불평도 하지 않습니다. \
         그다음 한 번에 하나씩 고치세요.",
    ),
    (
        "schema",
        "편집기를 위한 실습 파일의 JSON 스키마 쓰기.",
        "labs/ 옆의 schemas/ 폴더에 씁니다. --check 는 최신인지 여부만 알려 줍니다.",
    ),
    (
        "etcd",
        "이 터미널에서 etcd 멤버 하나를 etcd의 플래그로 실행하기.",
        "터미널 세 개, 또는 머신 세 대가 클러스터를 이룹니다. 저마다 다른 --name 과 URL을, 모두에게 같은 --initial-cluster 를 \
         주세요. 순정 etcdctl이 그대로 동작합니다. 모든 쓰기는 과반수의 디스크에 기록된 뒤에야 확인되므로 멤버를 얼마든지 죽이고 \
         같은 명령으로 다시 시작해도 됩니다. 그때는 데이터 디렉터리의 로그와 마지막 스냅샷을 읽으며, --initial... 플래그는 처음 한 \
         번만 쓰입니다. Ctrl-C 로 끝납니다.",
    ),
    ("book", "과정을 책으로 만들거나 보여 주기.", ""),
    (
        "book build",
        "과정을 채점하고 책으로 쓰기.",
        "각 실습의 모범 답안을 채점하고 실제로 일어난 일을 책에 담습니다: 결과, 다이어그램, 타임라인. 책은 네트워크 없이 열립니다.",
    ),
    (
        "book serve",
        "책을 만들어 로컬 포트에서 보여 주기.",
        "이 컴퓨터에서 실행 중인 실습의 페이지는 검사와 메시지를 일어나는 대로 보여 줍니다.",
    ),
    ("book preprocess", "`mdbook build book` 을 위한 mdBook 전처리기.", ""),
    ("book preprocess supports", "렌더러를 지원하는지 종료 코드로 답합니다.", ""),
];

/// Each argument, wherever it stands; `start lab` before `lab`.
const ARGUMENTS: &[(&str, &str)] = &[
    ("course", "과정의 폴더 [기본값: 위쪽으로 가장 가까운 labs/course.yaml, 없으면 내장 과정]."),
    ("lang", "언어, en 또는 ko [기본값: LANG에 따름]."),
    ("json", "프로그램을 위한 JSON 출력."),
    ("no_color", "색 없음. NO_COLOR=1 과 같습니다."),
    ("fast", "멈춤 없이 한 번에 출력."),
    ("lab", "실습의 이름, 2.4 같은 번호, 또는 폴더 경로."),
    ("foreground", "이 터미널에 머물기. Ctrl-C 로 끝납니다."),
    (
        "start student",
        "누구의 변형 값을 쓸지. 그 학생을 채점할 때와 같습니다 [기본값: LABKIT_STUDENT, 없으면 `labkit run` 의 값].",
    ),
    ("start snapshot", "스냅숏을 뜬 곳에서 시작."),
    ("snapshot snapshot", "스냅숏의 이름. 같은 이름은 바뀝니다."),
    ("restore snapshot", "스냅숏의 이름."),
    ("list", "되돌리는 대신 실행 중인 실습의 스냅숏 목록을 보기."),
    ("pack labs", "실습들: 이름이나 2.4 같은 번호 [기본값: 전부]."),
    ("pack student", "모범 답안과 틀린 제출물을 빼기. 다른 종류의 꾸러미는 없습니다."),
    ("pack out", "쓸 폴더. 아직 없어야 합니다."),
    ("run student", "이 학생으로 채점: `labkit grade` 와 같은 변형 값과 우연."),
    ("on", "다른 곳에서 채점: 여러 파드로 학급을 채점하는 쿠버네티스 Job을 쓰기."),
    ("image", "--on 과 함께: labkit이 엔트리포인트인 컨테이너 이미지."),
    ("claim", "--on 과 함께: submissions/ 에 학급이 있고 grades/ 를 받을 PersistentVolumeClaim."),
    ("shards", "학급을 몇 조각으로 나눌지. --on 이 없으면 JOB_COMPLETION_INDEX 번째 조각을 채점."),
    ("patience", "답 하나를 기다릴 시간(초) [기본값: 시간 한도의 네 배에 30을 더한 값]."),
    ("renewed_after", "프로세스 하나가 채점하고 새것으로 바뀔 때까지의 제출물 수."),
    (
        "allow_scripts",
        "스크립트가 있는 제출물의 스크립트를 네트워크 없는 샌드박스에서 실행. bubblewrap이 필요합니다.",
    ),
    ("name", "여러 개가 돌 때 어느 실습인지 [기본값: LABKIT_LAB, 없으면 하나뿐인 실습]."),
    ("id", "질문의 id. `labkit check` 가 보여 줍니다."),
    ("value", "알아낸 것: 낱말, 수, 또는 JSON 값."),
    ("object", "객체 하나에 관한 것만: pod/web. etcd의 키는 key/NAME."),
    ("component", "컴포넌트 하나가 주고받은 것만: scheduler, etcd1, worker1."),
    ("at", "이 리비전의 저장소, 또는 --object 의 객체. 0 은 지금."),
    ("timeline format", "타임라인의 형식."),
    ("limit", "메시지 몇 개를, 최근 것부터 [기본값: 터미널에서는 60, 아니면 전부]."),
    ("last", "실습이 돌고 있어도 마지막 실행을 보기."),
    ("new_name", "실습의 이름: 소문자, 숫자, 줄표."),
    ("dir", "실습 폴더를 만들 폴더 [기본값: 여기]."),
    ("step by", "얼마나: 1s, 200ms, 1m30s [기본값: 1s]."),
    ("by", "얼마나: +40s, +5m, +1h30m."),
    ("deliver count", "몇 개."),
    ("target", "컴포넌트: etcd/leader, etcd/etcd1, apiServer, scheduler, kubelet/worker1."),
    ("power-off target", "머신: node/worker1."),
    ("power-loss target", "etcd 멤버: etcd/leader, etcd/etcd1."),
    ("slow-disk target", "etcd 멤버: etcd/leader, etcd/etcd1."),
    ("full-disk target", "etcd 멤버: etcd/leader, etcd/etcd1."),
    ("corrupt-byte target", "etcd 멤버: etcd/leader, etcd/etcd1."),
    ("link", "둘 이상의 무리: \"etcd1 | etcd2, etcd3\"."),
    ("delay by", "시간: 200ms, 1s."),
    ("clock-skew by", "얼마나: 10m, -30s."),
    ("slow-disk by", "시간: 200ms, 1s."),
    (
        "config",
        "kubeadm 파일: 외부 etcd를 포함한 ClusterConfiguration (v1beta3 또는 v1beta4). 명령줄의 플래그가 먼저입니다.",
    ),
    ("nodes", "워커 노드의 수. 0 이면 없음."),
    ("etcd", "etcd 멤버의 수: 1, 3 또는 5."),
    ("secure_port", "127.0.0.1 에서 API 서버의 포트. 0 이면 비어 있는 아무 포트."),
    ("service_cluster_ip_range", "서비스의 주소 범위 [기본값: 10.96.0.0/12]."),
    ("client_ca_file", "클러스터 자신의 것 말고도 그 클라이언트를 알아볼 인증 기관의 인증서(PEM)."),
    ("token_auth_file", "고정 토큰을 가진 사용자: token,user,uid,\"group1,group2\" 형식의 줄."),
    (
        "authorization_mode",
        "누가 무엇을 해도 되는지: Node, RBAC, AlwaysAllow, AlwaysDeny, 또는 여럿 [기본값: AlwaysAllow].",
    ),
    (
        "anonymous_auth",
        "자격 증명 없는 요청을 system:anonymous 의 것으로 볼지. AlwaysAllow 에서는 언제나 아님 [기본값: true].",
    ),
    ("etcd_compaction_interval", "API 서버가 etcd를 컴팩션하는 간격, 0이면 하지 않음 [기본값: 5m]."),
    ("enable_admission_plugins", "기본 플러그인에 더해 실행할 어드미션 플러그인."),
    ("disable_admission_plugins", "실행하지 않을 어드미션 플러그인."),
    ("metrics_server", "메트릭 서버를 설치: `kubectl top` 에 필요합니다."),
    ("controllers", "실행할 컨트롤러: * 는 모두, -NAME 은 그것만 빼고 모두 [기본값: *]."),
    ("probability", "하나하나를 잃을 확률: 0.3."),
    ("heal id", "`labkit fault` 가 보여 주는 ID [기본값: 모두]."),
    ("submit out", "쓸 곳 [기본값: 실습 이름의 폴더]."),
    ("force", "이미 있는 제출물을 바꾸기."),
    ("all", "실행 중인 모든 실습을 끝내기."),
    ("labs", "실습들: 이름, 2.4 같은 번호, 또는 폴더 경로."),
    ("solution", "모범 답안을 채점."),
    ("submission", "이 제출물을 채점: submission.yaml 이 있는 폴더."),
    ("seed", "실행 중 모든 우연의 시드."),
    ("report", "보고서를 이 파일에도 쓰기. --format 이 없으면 JSON."),
    ("format", "보고서의 형식."),
    ("grade format", "출력 형식."),
    ("grade out", "학생마다의 보고서와 요약을 이 폴더에 쓰기."),
    ("dir", "학급: 학생마다 폴더 하나인 제출물 폴더. 또는 제출물 하나."),
    ("jobs", "동시에 채점할 개수 [기본값: 코어마다 하나]."),
    (
        "resume",
        "실습이 그대로라면 --out 에 이미 있는 채점 결과를 유지. 다시 채점하려면 그 보고서를 지우세요.",
    ),
    ("student", "DIR이 제출물 하나일 때 누구의 것인지."),
    ("replay_only", "학생의 실행에서 나왔다는 값은 믿지 않고 재실행한 결과만 믿기."),
    ("time_limit", "제출물 하나가 쓸 수 있는 프로세서 시간(초)."),
    ("memory", "제출물 하나가 쓸 수 있는 메모리(MiB)."),
    ("paths", "실습이나 과정의 폴더 [기본값: 과정 전체]."),
    ("seeds", "몇 개의 시드로 채점할지."),
    ("check", "쓰지 않기. 최신이 아닌 파일이 있으면 1로 끝납니다."),
    ("schema out", "쓸 폴더 [기본값: labs/ 옆의 schemas/]."),
    ("out", "책을 둘 곳 [기본값: 체크아웃에서는 target/book, 아니면 labkit-book]."),
    ("etcd name", "멤버의 이름."),
    ("data_dir", "로그와 스냅샷을 둘 곳 [기본값: NAME.etcd]."),
    (
        "initial_cluster",
        "창립 멤버들을 이름=피어URL 꼴로, 쉼표로 나누어. 합류할 때는 자신을 포함한 모든 멤버 [기본값: 자신만].",
    ),
    ("initial_cluster_state", "클러스터를 새로 만들지, `etcdctl member add` 뒤에 합류할지."),
    ("initial_cluster_token", "같은 URL에 만든 클러스터들을 구별하는 토큰."),
    ("listen_client_urls", "클라이언트를 기다리는 곳 [기본값: http://localhost:2379]."),
    (
        "advertise_client_urls",
        "클라이언트가 찾아오는 곳. `etcdctl member list` 가 보여 줍니다 [기본값: http://localhost:2379].",
    ),
    ("listen_peer_urls", "다른 멤버를 기다리는 곳."),
    ("initial_advertise_peer_urls", "다른 멤버가 찾아오는 곳."),
    ("heartbeat_interval", "리더가 자신이 살아 있음을 알리는 간격(밀리초)."),
    ("election_timeout", "팔로어가 그 소식을 기다리다 선거에 나서기까지의 시간(밀리초)."),
    ("auto_compaction_mode", "--auto-compaction-retention 이 세는 것: 시간(기본은 시 단위) 또는 리비전 수."),
    ("auto_compaction_retention", "남겨 둘 이력: 1(시간), 10m, 또는 리비전 수. 0 이면 전부."),
    ("snapshot_count", "로그 항목 몇 개마다 스냅샷을 만들지."),
    (
        "quota_backend_bytes",
        "저장소가 커질 수 있는 한도. 0은 2 GiB. 넘으면 자리가 날 때까지 쓰기를 받지 않습니다.",
    ),
    ("cert_file", "클라이언트에게 보일 인증서."),
    ("key_file", "--cert-file 의 키."),
    ("trusted_ca_file", "클라이언트 인증서를 발급했어야 하는 인증 기관."),
    ("client_cert_auth", "그런 인증서가 없는 클라이언트를 거부하기."),
    ("peer_cert_file", "다른 멤버에게 보일 인증서."),
    ("peer_key_file", "--peer-cert-file 의 키."),
    ("peer_trusted_ca_file", "멤버들의 인증서를 발급했어야 하는 인증 기관."),
    ("peer_client_cert_auth", "그런 인증서가 없는 멤버를 거부하기."),
    ("port", "127.0.0.1 의 포트. 0 이면 비어 있는 아무 포트."),
];

/// Puts the Korean in the place of the English.
pub(super) fn translate(command: Command) -> Command {
    let command = command.about(
        "쿠버네티스가 안에서 어떻게 움직이는지 배우는 실습: 바로 뜨는 컨트롤 플레인과 진짜 kubectl, etcdctl.",
    );
    let command = COMMANDS.iter().fold(command, |command, (path, about, more)| {
        at(command, path, |command| match more.is_empty() {
            true => command.about(short(about)),
            false => command.about(short(about)).long_about(format!("{about}\n\n{more}")),
        })
    });
    headings(arguments(command, ""))
}

fn arguments(command: Command, path: &str) -> Command {
    let name = path.rsplit(' ').next().unwrap_or_default().to_owned();
    let korean = |id: &str| {
        let own = format!("{name} {id}");
        let found = ARGUMENTS.iter().find(|(key, _)| *key == own);
        found.or_else(|| ARGUMENTS.iter().find(|(key, _)| *key == id)).map(|(_, help)| *help)
    };
    let command = command.mut_args(|argument| match korean(argument.get_id().as_str()) {
        Some(help) if argument.get_help().is_some() => argument.help(short(help)),
        _ => argument,
    });
    command.mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name());
        arguments(command, &path)
    })
}

/// One line ends without a full stop, as clap has it.
fn short(text: &'static str) -> &'static str {
    text.strip_suffix('.').unwrap_or(text)
}

fn headings(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let heading = if argument.is_positional() { "인자" } else { "옵션" };
        argument.help_heading(heading)
    });
    let command = command.subcommand_help_heading("명령");
    command.mut_subcommands(|command| {
        headings(command).help_template("{about-with-newline}\n사용법: {usage}\n\n{all-args}{after-help}")
    })
}
