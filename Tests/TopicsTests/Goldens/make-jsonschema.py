# Writes jsonschema.json: schemas, values, and what PyPI's jsonschema says of them. Run once, by hand:
#
#   python3 -m venv venv && venv/bin/pip install 'jsonschema[format-nongpl]==4.26.0'
#   venv/bin/python Tests/TopicsTests/Goldens/make-jsonschema.py
import decimal, glob, json, os, pathlib, random
import jsonschema
from jsonschema import Draft202012Validator as V
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2] / "topics"
cases=[]
def add(schema,values):
    V.check_schema(schema)
    v=V(schema,format_checker=None)
    cases.append({"schema":schema,"values":[{"value":x,"valid":v.is_valid(x)} for x in values]})
everything=[None,True,False,0,1,-1,1.0,1.5,-0.0,1e300,9007199254740993,"","a","abc","é","🚗🚗",[],[1],[1,"a"],[[1]],{}, {"a":1},{"a":"x","b":2},{"b":None}]
for t in ["null","boolean","integer","number","string","array","object"]: add({"type":t},everything)
add({"type":["string","null"]},everything); add({"type":["integer","boolean","object"]},everything)
add(True,everything) ; add(False,everything); add({},everything)
add({"enum":[1,"a",None,[1],{"a":1}]},everything+[{"a":1.0},[1.0]])
add({"const":0},everything); add({"const":False},everything); add({"const":{"a":1}},everything); add({"enum":[True]},everything)
add({"minimum":1},everything); add({"maximum":1},everything); add({"exclusiveMinimum":1},everything); add({"exclusiveMaximum":1},everything); add({"minimum":0.5,"maximum":1.25},everything)
add({"multipleOf":2},[0,1,2,-4,3.0,4.0,"x",2.5,10**15]); add({"multipleOf":0.5},[0,0.25,0.5,1,1.75,-1.5,3]); add({"multipleOf":1.5},[3,4.5,4,1.5])
add({"minLength":1},everything); add({"maxLength":2},everything); add({"minLength":1,"maxLength":2},everything+["日本","日本語"])
add({"minItems":1},everything); add({"maxItems":1},everything); add({"items":{"type":"integer"}},everything+[[1,2,3],[1,"2"]]); add({"items":False},everything); add({"items":{"items":{"type":"string"}}},[[["a"]],[[1]],[1],[[]]])
add({"properties":{"a":{"type":"integer"}}},everything); add({"required":["a"]},everything); add({"properties":{"a":True},"additionalProperties":False},everything)
add({"properties":{"a":{"type":"integer"}},"additionalProperties":{"type":["null","number"]}},everything); add({"additionalProperties":{"type":"string"}},everything); add({"additionalProperties":False},everything)
add({"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},everything+[["a"],["a",1]])
add({"anyOf":[{"required":["a"]},{"required":["b"]}],"type":"object"},everything)
add({"properties":{"a":False}},everything)
node={"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["value","next"],"additionalProperties":False}}}
add(node,[{"value":1,"next":None},{"value":1,"next":{"value":2,"next":None}},{"value":1,"next":{"value":"2","next":None}},{"value":1},{"value":1,"next":{"value":2}},None,{"value":1,"next":None,"x":0}])
add({"properties":{"children":{"type":"array","items":{"$ref":"#"}},"n":{"type":"integer"}},"additionalProperties":False},[{},{"n":1},{"children":[{"n":1},{"children":[]}]},{"children":[{"n":"x"}]},{"children":[{"m":1}]}])
add({"$defs":{"a/b":{"type":"integer"},"c~d":{"type":"string"},"e f":{"type":"boolean"}},"properties":{"x":{"$ref":"#/$defs/a~1b"},"y":{"$ref":"#/$defs/c~0d"},"z":{"$ref":"#/$defs/e%20f"}}},[{"x":1},{"x":"1"},{"y":"s"},{"y":1},{"z":True},{"z":0}])
add({"$ref":"#/$defs/p","minimum":3,"$defs":{"p":{"type":"integer","maximum":5}}},[1,3,5,6,"x",4.0,4.5])
add({"properties":{"é":{"type":"integer"}},"additionalProperties":False},[{"é":1},{"e\u0301":1},{"é":"x"}])
add({"enum":["é"]},["é","e\u0301","e"])
pats=["^[0-9a-f]{64}$","a","^a","a$","^$","^a*b+c?$","^(ab|cd)+$","[^a-c]","^\\d{3}-\\d{4}$","^\\w+@\\w+\\.com$","\\bcat\\b","^(?:x|y){2,3}$","^.{2}$","^a.c$","\\s","^[\\w.-]+$","^(a|b(c|d)*)?$","x{0}y","^[a-z&&x]+$","^\\u0041\\x42$","^\\S+\\D$","a|b|","^(a*)*$","^[\\]\\-^]+$","\\.","^a{2,}$"]
strs=["","a","b","ab","abab","cdab","abc","aabbc","123-4567","bob@x.com","a cat sat","concat","xy","xyx","xyxy","a.c","a\nc","AB","é","日本"," ","a-b.c_d","bcdc","y","]-^","aa","aaa","0"*64,"0"*63+"g","x1"]
# Python's \\w, \\d, \\s and \\b know Unicode; ECMA-262's, which JSON Schema asks for, are ASCII.
for p in pats:
    ascii_only = any("\\" + letter in p for letter in "wWdDsSb")
    add({"pattern": p}, [x for x in strs if x.isascii() or not ascii_only] + [1, None])
# schemas of the topics on every example; formats are compared by their own cases below
def strip(x):
    if isinstance(x,dict): return {k:strip(v) for k,v in x.items() if k!="format"}
    if isinstance(x,list): return [strip(v) for v in x]
    return x
topics=[]
for t in "requests samples ledger deadletters checkpoints releases models artifacts adoptions feedback".split():
    schema=json.load(open(f"{ROOT}/{t}/{t}.schema.json")); V.check_schema(schema); v=V(schema,format_checker=V.FORMAT_CHECKER)
    for kind in("valid","invalid"):
        for f in sorted(glob.glob(f"{ROOT}/{t}/examples/{kind}/*.json")):
            topics.append({"topic":t,"example":f"{kind}/{os.path.basename(f)}","valid":v.is_valid(json.load(open(f)))})
fc=V.FORMAT_CHECKER
formats={}
for name,vals in {
 "date":["2026-02-28","2026-02-29","2024-02-29","1900-02-29","2000-02-29","2026-13-01","2026-00-10","2026-1-1","x",""],
 "email":["a@b.example","plain",""],
 "ipv4":["1.2.3.4","256.1.1.1","1.2.3","01.2.3.4","1.2.3.4.5","a.b.c.d",""],
 "ipv6":["::1","::","1::8","1:2:3:4:5:6:7:8","1:2:3:4:5:6:7:8:9","::ffff:1.2.3.4","1::2::3","12345::","g::","1:2:3:4:5:6:7::",""],
 "uuid":["2eb8aa08-aa98-11ea-b4aa-73b441d16380","2EB8AA08-AA98-11EA-B4AA-73B441D16380","2eb8aa08aa9811eab4aa73b441d16380","2eb8aa08-aa98-11ea-b4aa-73b441d1638g",""],
 "date-time":["1963-06-19T08:30:06.283185Z","1963-06-19T08:30:06Z","1990-12-31T15:59:50.123-08:00","1990-02-31T15:59:59.123-08:00","1963-06-19T08:30:06","1963-06-19","06/19/1963 08:30:06 PST","1963-06-19T24:30:06Z","1963-06-19T08:30:06+24:00","1963-06-19t08:30:06z","1963-06-19T08:30:06.Z",""],
}.items():
    v=V({"format":name},format_checker=fc)
    assert name in fc.checkers, name
    formats[name]=[{"value":x,"valid":v.is_valid(x)} for x in vals]
# multipleOf: read with parse_float=Decimal, jsonschema computes on the decimals that the texts name, and so do we. (With
# Python's floats it takes the quotient of the doubles, for which 0.3 is no multiple of 0.1.)
decimal.getcontext().prec=1000
draw=random.Random(1)
texts=[("0.3","0.1"),("-0.3","0.1"),("19.99","0.01"),("4.35","0.01"),("1.1","0.1"),("0.0075","0.0001"),("0.00751","0.0001"),("1e308","0.5"),("1e-300","0.1"),("0.1","1e-300"),("5e-324","5e-324"),("1e-323","5e-324"),("1e300","7e-5"),("123456789012.34","0.01"),("0","0.1"),("-0.0","3"),("9007199254740993","0.1"),("9223372036854775807","7"),("9223372036854775807","1e-2"),("-9223372036854775808","1024"),("2.5","1"),("3.0","1"),("7","0.7"),("7","0.3"),("1e22","3"),("0.30000000000000004","0.1"),("4.5","1.5"),("1e2","1e2"),("1e2","1e3")]
for _ in range(300):
    step=decimal.Decimal(draw.randint(1,draw.choice([9,99,9999])))*decimal.Decimal(10)**draw.randint(-6,1)
    value=step*draw.randint(-10**draw.randint(0,7),10**7)
    if draw.random()<.4: value+=decimal.Decimal(draw.randint(-9,9)).scaleb(-draw.randint(0,7))
    # A double keeps 15 digits.
    if len(value.normalize().as_tuple().digits)<=15: texts.append((format(value,"f"),format(step,"f")))
multiples=[]
for value,step in texts:
    exact=json.loads(f'{{"value":{value},"step":{step}}}',parse_float=decimal.Decimal)
    valid=V({"multipleOf":exact["step"]}).is_valid(exact["value"])
    multiples.append({"value":json.loads(value),"step":json.loads(step),"valid":valid})
out={"about":"Made once with PyPI's jsonschema "+__import__("importlib.metadata").metadata.version("jsonschema")+" (Draft202012Validator); by make-jsonschema.py beside this file","cases":cases,"topics":topics,"multiples":multiples,"formats":formats}
json.dump(out,open(HERE / "jsonschema.json","w"),indent=1,ensure_ascii=False)
print(len(cases),sum(len(c["values"]) for c in cases),len(topics))
